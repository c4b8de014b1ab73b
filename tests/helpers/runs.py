"""Runs to compare: their weights, and what of their history is no clock's."""

import numpy as np

from keras_dlparts import load_model
from keras_dlparts.runs import Run

# Columns that no two runs share, nor two passes over the same steps.
TIMES = ("seconds", "ms_per_step", "memory_mb", "data_wait_share")


def weights(run, name="last.keras"):
    """The weights of a model that a run saved.

    Args:
        run: A `Run`, or the path of one.
        name: The model's file.
    """
    run = run if isinstance(run, Run) else Run(run)
    return [w.numpy() for w in load_model(run.path / name).weights]


def assert_same_weights(one, other, name="last.keras", told=""):
    """Two runs saved the same model, bit by bit."""
    for a, b in zip(weights(one, name), weights(other, name), strict=True):
        np.testing.assert_array_equal(a, b, told)


def history(run):
    """What a run's history says, without the columns that a clock fills."""
    return {name: v for name, v in run.history.items() if name not in TIMES}
