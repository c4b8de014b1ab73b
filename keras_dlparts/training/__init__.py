"""A config -> a run. Reading a run imports no backend; training does."""

import importlib

from keras_dlparts.runs import Run

_HOME = {
    "NonFiniteError": "log",
    "evaluate": "look",
    "train": "loop",
    "write_report": "look",
}


def __getattr__(name):
    if name in _HOME:
        home = importlib.import_module(f"keras_dlparts.training.{_HOME[name]}")
        return getattr(home, name)
    raise AttributeError(f"module 'keras_dlparts.training' has no attribute {name!r}")
