"""Run a script, `-c` code or `-m` module as if TensorFlow were not installed.

python tests/without_tensorflow.py [--nor MODULE]... SCRIPT ARGUMENTS...
"""

import runpy
import sys
from importlib.machinery import PathFinder

_find = PathFinder.find_spec
_hidden = ["tensorflow", "tensorboard"]


def _find_others(name, path=None, target=None):
    if name.partition(".")[0] in _hidden:
        return None
    return _find(name, path, target)


if __name__ == "__main__":
    PathFinder.find_spec = staticmethod(_find_others)
    sys.argv = sys.argv[1:]
    while sys.argv[0] == "--nor":
        _hidden.append(sys.argv[1])
        sys.argv = sys.argv[2:]
    if sys.argv[0] == "-c":
        exec(compile(sys.argv[1], "<code>", "exec"), {"__name__": "__main__"})
    elif sys.argv[0] == "-m":
        sys.argv = sys.argv[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
