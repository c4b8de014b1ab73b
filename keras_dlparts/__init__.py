"""Keras 3 parts from papers and lectures: found by name, configured, trained, saved.

The public names load on first use, so that `import keras_dlparts` and the command's
`--help` stay quick and import no backend.
"""

from typing import TYPE_CHECKING

from keras_dlparts.support import keras_backend, lazy

__version__ = "0.1.0"

# Before any module of this package imports Keras, which would insist on TensorFlow.
keras_backend.choose_installed()

if TYPE_CHECKING:
    from keras_dlparts import analysis as analysis
    from keras_dlparts import backend as backend
    from keras_dlparts import callbacks as callbacks
    from keras_dlparts import data as data
    from keras_dlparts import distribute as distribute
    from keras_dlparts import initializers as initializers
    from keras_dlparts import layers as layers
    from keras_dlparts import losses as losses
    from keras_dlparts import metrics as metrics
    from keras_dlparts import models as models
    from keras_dlparts import optimizers as optimizers
    from keras_dlparts import regularizers as regularizers
    from keras_dlparts import report as report
    from keras_dlparts import schedules as schedules
    from keras_dlparts import searching as searching
    from keras_dlparts import sklearn as sklearn
    from keras_dlparts import surgery as surgery
    from keras_dlparts import testing as testing
    from keras_dlparts import training as training
    from keras_dlparts.analysis import monte_carlo as monte_carlo
    from keras_dlparts.analysis import project_noise as project_noise
    from keras_dlparts.analysis import signal_report as signal_report
    from keras_dlparts.comparing import Comparison as Comparison
    from keras_dlparts.comparing import Runs as Runs
    from keras_dlparts.config import build as build
    from keras_dlparts.config import plan as plan
    from keras_dlparts.config.errors import ConfigError as ConfigError
    from keras_dlparts.optimizers.newton_cg import newton as newton
    from keras_dlparts.registry import RegistryError as RegistryError
    from keras_dlparts.runs import Run as Run
    from keras_dlparts.saving import load_model as load_model
    from keras_dlparts.searching import Search as Search
    from keras_dlparts.searching import SearchFailed as SearchFailed
    from keras_dlparts.searching import hypermodel as hypermodel
    from keras_dlparts.searching import hyperparameters as hyperparameters
    from keras_dlparts.searching import search as search
    from keras_dlparts.surgery import compact as compact
    from keras_dlparts.surgery import deepen as deepen
    from keras_dlparts.surgery import fold as fold
    from keras_dlparts.surgery import lsuv as lsuv
    from keras_dlparts.surgery import recalibrate as recalibrate
    from keras_dlparts.surgery import strip as strip
    from keras_dlparts.training import NonFiniteError as NonFiniteError
    from keras_dlparts.training import evaluate as evaluate
    from keras_dlparts.training import many_steps as many_steps
    from keras_dlparts.training import train as train
else:
    __getattr__, __dir__, __all__ = lazy.attach(
        __name__,
        {
            # Packages and modules.
            "analysis": "analysis",
            "backend": "backend",
            "callbacks": "callbacks",
            "data": "data",
            "distribute": "distribute",
            "initializers": "initializers",
            "layers": "layers",
            "losses": "losses",
            "metrics": "metrics",
            "models": "models",
            "optimizers": "optimizers",
            "regularizers": "regularizers",
            "report": "report",
            "schedules": "schedules",
            "searching": "searching",
            "sklearn": "sklearn",
            "surgery": "surgery",
            "testing": "testing",
            "training": "training",
            # Functions and classes.
            "Comparison": "comparing",
            "ConfigError": "config.errors",
            "NonFiniteError": "training",
            "RegistryError": "registry",
            "Run": "runs",
            "Runs": "comparing",
            "Search": "searching",
            "SearchFailed": "searching",
            "build": "config",
            "compact": "surgery",
            "deepen": "surgery",
            "evaluate": "training",
            "fold": "surgery",
            "hypermodel": "searching",
            "hyperparameters": "searching",
            "load_model": "saving",
            "lsuv": "surgery",
            "many_steps": "training",
            "monte_carlo": "analysis",
            "newton": "optimizers.newton_cg",
            "plan": "config",
            "project_noise": "analysis",
            "recalibrate": "surgery",
            "search": "searching",
            "signal_report": "analysis",
            "strip": "surgery",
            "train": "training",
        },
    )
