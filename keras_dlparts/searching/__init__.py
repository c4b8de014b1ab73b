"""A config with a search space -> KerasTuner -> a folder of runs and the best one."""

import importlib

_HOME = {
    "Search": "view",
    "SearchFailed": "conduct",
    "hyperparameters": "hyper",
    "hypermodel": "hyper",
    "join_search": "conduct",
    "search": "conduct",
}


def __getattr__(name):
    if name in _HOME:
        home = importlib.import_module(f"keras_dlparts.searching.{_HOME[name]}")
        return getattr(home, name)
    raise AttributeError(f"module 'keras_dlparts.searching' has no attribute {name!r}")
