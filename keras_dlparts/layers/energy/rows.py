"""Rows of units: a machine's inputs, and all the states that it has."""

import numpy as np


def width(layer, input_shape):
    """How many units a row has; raises where inputs are no rows of a known length."""
    if len(input_shape) == 2 and input_shape[-1] is not None:
        return input_shape[-1]
    raise ValueError(
        f"{type(layer).__name__} takes rows of units, (batch, units), of a known "
        f"number. Received: an input of shape {tuple(input_shape)}. "
        "Put a Flatten before it"
    )


def must_be_built(layer):
    """Raise unless a machine has weights."""
    if not layer.built:
        raise ValueError(
            f"{type(layer).__name__} {layer.name!r} has no weights yet. "
            "Call it on data, or `build((None, visible))` it"
        )


def states(units, first=0, end=None):
    """The states of so many units, from number `first` until before `end`, as rows.

    >>> states(2).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    """
    numbers = np.arange(first, 2**units if end is None else end)
    return (numbers[:, None] >> np.arange(units) & 1).astype("float64")
