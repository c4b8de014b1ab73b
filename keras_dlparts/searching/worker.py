"""A worker process: `python -m keras_dlparts.searching.worker`, started by a crew.

One line of JSON on standard input says what to do. The input then stays open; when it
closes, the process that started this one has ended, and this one ends too.
"""

import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

OVER, ONE_DONE, STOPPED, CHIEF_GONE, WRONG, FULL = 0, 5, 3, 4, 2, 6  # exit codes


def main():
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, _interrupt)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from keras_dlparts.config.errors import ConfigError
    from keras_dlparts.config.experiment import opened
    from keras_dlparts.config.schema import Search
    from keras_dlparts.config.whole_space import whole_space
    from keras_dlparts.searching.channel import (
        ChiefDone,
        ChiefGone,
        Client,
        fingerprint,
    )
    from keras_dlparts.searching.trial import Trials, work
    from keras_dlparts.support.files import DiskFull

    document, given = opened(asked["config"], folder=asked["relative_to"])
    settings = Search(**asked["settings"])
    mark = fingerprint(asked["config"], settings)
    oracle = Client(asked["host"], asked["port"], asked["id"], mark)
    folder = Path(asked["folder"])
    trials = Trials(folder, document, given, whole_space(document), settings)
    try:
        more = work(oracle, trials, asked["id"], asked["once"])
    except KeyboardInterrupt:
        raise SystemExit(STOPPED) from None
    except ChiefDone:
        raise SystemExit(OVER) from None
    except ChiefGone as error:
        print(f"the chief is gone: {error}", file=sys.stderr, flush=True)
        raise SystemExit(CHIEF_GONE) from None
    except ConfigError as error:
        print(error, file=sys.stderr, flush=True)
        raise SystemExit(WRONG) from None
    except DiskFull as error:
        with contextlib.suppress(OSError):  # this file too may find no room
            print(error, file=sys.stderr, flush=True)
        raise SystemExit(FULL) from None
    raise SystemExit(ONE_DONE if more else OVER)


def _interrupt(*_):
    raise KeyboardInterrupt


def _end_with_parent():
    """End at once when the parent ends; a trial's files are whole at any time."""
    sys.stdin.read()
    os._exit(CHIEF_GONE)


if __name__ == "__main__":
    main()
