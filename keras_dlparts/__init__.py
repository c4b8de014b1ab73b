"""Keras 3 parts from papers and lectures: found by name, configured, trained, saved.

The public names load on first use, so that `import keras_dlparts` and the
command's `--help` stay quick and import no backend.
"""

import importlib

_HOME = {
    "ConfigError": "config.errors",
    "RegistryError": "registry",
    "NonFiniteError": "training",
    "Run": "runs",
    "Search": "searching",
    "SearchFailed": "searching",
    "build": "config",
    "compact": "surgery.compacting",
    "fold": "surgery.folding",
    "hypermodel": "searching",
    "hyperparameters": "searching",
    "load_model": "saving",
    "newton": "optimizers.newton_cg",
    "plan": "config.planning",
    "monte_carlo": "analysis.sampling",
    "project_noise": "analysis.projection",
    "recalibrate": "surgery.population",
    "search": "searching",
    "strip": "surgery.stripping",
    "train": "training",
}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(f"keras_dlparts.{_HOME[name]}"), name)
    raise AttributeError(f"module 'keras_dlparts' has no attribute {name!r}")


def __dir__():
    return [*globals(), *__all__]
