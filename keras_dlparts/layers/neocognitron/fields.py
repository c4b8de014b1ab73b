"""Receptive fields of cells: their sizes, and connections that fall from the center."""

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.support.checks import check_count
from keras_dlparts.support.losses import nan_unless

_NEGATIVE = (
    "A Neocognitron's cells take activities, which are never negative. Scale images to "
    "[0, 1], or give what is brighter and what is darker than the mean a channel each, "
    "by concatenate([relu(x), relu(-x)])"
)


def pair(name, value):
    """An integer for both axes, or one for each, as a tuple of two.

    >>> pair("strides", 2)
    (2, 2)
    """
    both = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(both) != 2:
        raise ValueError(
            f"`{name}` must be an integer or two of them. Received: {name}={value!r}"
        )
    return tuple(check_count(name, each) for each in both)


def falling(size, decay):
    """decay^(distance from the center), an array (height, width).

    >>> falling((1, 3), 0.5).tolist()
    [[0.5, 1.0, 0.5]]
    """
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in size)
    return decay ** np.hypot(rows[:, None], columns)


def check_planes(layer, input_shape, name, size):
    """Raise unless an input is planes of cells that a field of `size` fits into."""
    shape = tuple(input_shape)
    if len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            f"{type(layer).__name__} takes planes of cells, (batch, height, width, "
            f"planes), of a known number. Received: an input of shape {shape}. Images "
            "without a last axis need a Reshape before it"
        )
    if any(n is not None and n < m for n, m in zip(shape[1:3], size, strict=True)):
        raise ValueError(
            f"{layer.name}: `{name}` must not be larger than the planes that come in. "
            f"Received: {name}={size}, planes of {shape[1]} x {shape[2]}. Take a "
            "smaller field, or fewer and weaker C-layers before"
        )


def spatial(input_shape, size, strides, padding):
    """The height and width of the planes that come out; None where not known."""
    pool = keras.layers.MaxPooling2D(size, strides, padding, "channels_last")
    return pool.compute_output_shape((None, *input_shape[1:3], 1))[1:3]


def activities(inputs):
    """The inputs in float32. Raises where one is negative, or gives NaN where a
    compiled step cannot raise."""
    x = ops.cast(inputs, "float32")
    fine = ops.min(x) >= 0
    backend.require(fine, _NEGATIVE, x)
    return x + nan_unless(fine)
