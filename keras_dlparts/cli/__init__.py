"""The command `dlparts`: a file a command, which parses, calls and prints.

Exit codes: 0 the work is done, 1 it failed, 2 the input is wrong.
"""

import io
import os
import sys

from keras_dlparts import registry
from keras_dlparts.cli.app import app
from keras_dlparts.cli.console import stop
from keras_dlparts.distribute import launched


def main():
    """The entry point: errors that the user can mend end without a traceback."""
    # TensorFlow describes its build and the processor at every start, unless told not.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What its encoding lacks, as a dash in ASCII, is shown as a question mark.
        sys.stdout.reconfigure(errors="replace")
    with launched.ended_by_errors():
        _run()


def _run():
    try:
        app(prog_name="dlparts")
    except (registry.RegistryError, FileNotFoundError, ImportError) as error:
        stop(2, str(error))
    except OSError as error:
        stop(1, str(error))
    except ValueError as error:
        from keras_dlparts.config.errors import ConfigError
        from keras_dlparts.runs import BrokenRunError

        if not isinstance(error, ConfigError | BrokenRunError):
            raise
        stop(2, str(error))
