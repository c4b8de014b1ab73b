"""In a worker: what it does for the launcher that started it, and when it fails."""

import contextlib
import os
import sys
import threading
import traceback
from pathlib import Path

# The environment variable in which a worker finds the launcher's folder.
FOLDER = "DLPARTS_LAUNCHER"


def folder():
    """The launcher's folder, deleted when it ends; None if nothing launched this."""
    return os.environ.get(FOLDER)


def follow():
    """End this process when the launcher is gone, even one that could not say so.

    Standard input is a pipe from the launcher, which never writes to it: reading from
    it returns when the launcher ends, however it ends.
    """

    def watch():
        os.read(0, 1)
        os._exit(1)

    if folder():
        threading.Thread(target=watch, daemon=True).start()


def tell_run(path):
    """Tell the launcher which folder the run has; the chief does."""
    if folder():
        Path(folder(), "run").write_text(str(Path(path).absolute()))


@contextlib.contextmanager
def ended_by_errors():
    """In one worker of several: end at once where this context ends by an error.

    Python itself would wait at its end for JAX, which waits there for all workers.
    """
    try:
        yield
    except BaseException as error:
        code = error.code if isinstance(error, SystemExit) else 1
        several = os.environ.get("TF_CONFIG") or os.environ.get("SLURM_STEP_NUM_TASKS")
        if not code or not several:
            raise
        if not isinstance(error, SystemExit):
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else 1)
