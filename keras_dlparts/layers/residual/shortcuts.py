"""The mathematics of shortcuts: sums, and what turns one shape into another.

An image's shape is (batch, ..., channels), or with Keras' image data format
"channels_first" (batch, channels, ...).
"""

import math

import keras
from keras import ops


def combine(x, f, a=None, b=None):
    """a x + b f; a weight of None is one."""
    x = x if a is None else a * x
    return x + (f if b is None else b * f)


def stride_and_pad(x, steps, channels, axis):
    """Option A of He et al.: every nth position of x, and zeros for new channels.

    Args:
        x: Tensor `(batch, ..., channels)`.
        steps: Tuple, n of each axis of space.
        channels: Integer, how many come out.
        axis: Integer, which axis holds them.
    """
    keep = [slice(None, None, step) for step in steps]
    keep.insert(axis - 1, slice(None))
    pads = [(0, 0)] * len(x.shape)
    pads[axis] = (0, channels - x.shape[axis])
    return ops.pad(x[(slice(None), *keep)], pads)


def channel_axis(rank):
    """Which axis holds the channels of a tensor with `rank` axes."""
    first = keras.config.image_data_format() == "channels_first"
    return 1 if first and rank > 2 else rank - 1


def linear(shape, new_shape, **arguments):
    """The layer that maps one shape to another linearly: a 1x1 conv, or Dense.

    They are one where no position is skipped; Dense passes masks on.
    """
    rank, axis = len(shape), channel_axis(len(shape))
    steps = strides(shape, new_shape)
    if axis == rank - 1 and not any(step > 1 for step in steps):
        return keras.layers.Dense(new_shape[axis], **arguments)
    conv = getattr(keras.layers, f"Conv{rank - 2}D")
    return conv(new_shape[axis], 1, strides=steps, **arguments)


def strides(shape, new_shape):
    """Which stride leads from one size to the other, for each axis of space."""
    axis = channel_axis(len(shape))
    return tuple(
        1 if None in (old, new) else max(1, math.ceil(old / new))
        for i, (old, new) in enumerate(zip(shape, new_shape, strict=True))
        if i not in (0, axis)
    )


def reachable(shape, new_shape, shortcut):
    """Whether a shortcut can turn one shape into another."""
    if shortcut == "none":
        return True
    if len(shape) != len(new_shape):
        return False
    same = [
        None in pair or pair[0] == pair[1]
        for pair in zip(shape, new_shape, strict=True)
    ]
    if shortcut not in ("projection", "pad"):
        return all(same)
    axis = channel_axis(len(shape))
    spatial = [i for i in range(1, len(shape)) if i != axis]
    strided = [
        same[i] or new_shape[i] == math.ceil(shape[i] / stride)
        for i, stride in zip(spatial, strides(shape, new_shape), strict=True)
    ]
    grows = shortcut == "projection" or new_shape[axis] >= shape[axis]
    return all(strided) and grows
