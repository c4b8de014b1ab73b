"""Run a script or `-c` code as if TensorFlow were not installed.

python tests/without_tensorflow.py SCRIPT ARGUMENTS...
"""

import runpy
import sys
from importlib.machinery import PathFinder

_find = PathFinder.find_spec


def _find_others(name, path=None, target=None):
    if name.partition(".")[0] in ("tensorflow", "tensorboard"):
        return None
    return _find(name, path, target)


if __name__ == "__main__":
    PathFinder.find_spec = staticmethod(_find_others)
    sys.argv = sys.argv[1:]
    if sys.argv[0] == "-c":
        exec(compile(sys.argv[1], "<code>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
