"""Max unpooling: each value goes back to where its pooling layer found the maximum.

    windows of x   P_w, w = 1 .. W               non-overlapping, as in the pooling
    switch         s_w = argmax of x over P_w    the first, where several are equal
    y at s_w = h_w,  y = 0 elsewhere in P_w

What pooling had cut off at the border is zero. Shapes: h (batch, *pooled, channels) and
x (batch, *spatial, channels) -> y, the shape of x; one to three spatial axes. Training
and inference are the same.
Zeiler & Fergus 2014, arXiv:1311.2901; Noh et al. 2015, "Learning deconvolution
network", arXiv:1505.04366.
"""

import math
from collections.abc import Sequence

import keras
from keras import ops

from keras_dlparts.backend import keras_private
from keras_dlparts.support.checks import check_count

CASES = {
    "MaxUnpooling": (
        {
            "arguments": {"pool_size": 2},
            "input_shape": [(2, 2, 3, 2), (2, 5, 6, 2)],
            "input_dtype": ["float32", "int32"],
        },
    )
}


def _spatial(x):
    """The spatial sizes of x; of one that is unknown while tracing, a tensor."""
    return ops.shape(x)[1:-1]


def windows(x, sizes):
    """x as `(batch, *pooled, channels, places in a window)`, cut to whole windows."""
    spatial = _spatial(x)
    counts = [n // size for n, size in zip(spatial, sizes, strict=True)]
    whole = [slice(count * size) for count, size in zip(counts, sizes, strict=True)]
    x = x[(slice(None), *whole)]
    split = [each for pair in zip(counts, sizes, strict=True) for each in pair]
    x = ops.reshape(x, (-1, *split, x.shape[-1]))
    axes = len(sizes)
    order = [0, *range(1, 2 * axes, 2), 2 * axes + 1, *range(2, 2 * axes + 1, 2)]
    x = ops.transpose(x, order)
    return ops.reshape(x, (-1, *counts, x.shape[axes + 1], math.prod(sizes)))


def unpooled(h, x, sizes):
    """h at the places of the maxima of x."""
    places = windows(ops.stop_gradient(x), sizes)
    largest = ops.cast(places == ops.max(places, -1, keepdims=True), h.dtype)
    switch = largest * ops.cast(ops.cumsum(largest, -1) == 1, h.dtype)  # the first
    y = ops.expand_dims(h, -1) * switch
    axes, counts = len(sizes), _spatial(h)
    y = ops.reshape(y, (-1, *counts, h.shape[-1], *sizes))
    order = [0]
    for i in range(axes):
        order += [1 + i, axes + 2 + i]
    y = ops.transpose(y, [*order, axes + 1])
    full = [count * size for count, size in zip(counts, sizes, strict=True)]
    y = ops.reshape(y, (-1, *full, h.shape[-1]))
    missing = [(0, n - m) for n, m in zip(_spatial(x), full, strict=True)]
    return ops.pad(y, [(0, 0), *missing, (0, 0)])


@keras.saving.register_keras_serializable("dlparts")
class MaxUnpooling(keras.layers.Layer):
    """Undoes max pooling, by the places where the maxima were.

    It takes `[h, x]`: what is to be unpooled, and what the pooling layer was given,
    from which it finds the switches. No gradient passes to x. The pooling layer has no
    padding, and its strides are its `pool_size`, as by default.

    Args:
        pool_size: Integer, `>= 1`, or a list of one for each spatial axis: that of the
            pooling layer.

    Call arguments:
        inputs: List of h, of shape `(batch, *pooled, channels)`, and x, of shape
            `(batch, *spatial, channels)`.

    Output shape: that of x. Spatial sizes may be None, for images of any size.

    Example:

    >>> import keras, numpy as np
    >>> x = np.array([1.0, 5.0, 4.0, 2.0], "float32").reshape(1, 4, 1)
    >>> h = keras.layers.MaxPooling1D(2)(x)
    >>> keras.ops.convert_to_numpy(MaxUnpooling(2)([h, x])).ravel().tolist()
    [0.0, 5.0, 4.0, 0.0]

    Reference: Noh et al. 2015, https://arxiv.org/abs/1505.04366
    """

    def __init__(self, pool_size: int | Sequence[int] = 2, **kwargs):
        super().__init__(**kwargs)
        several = isinstance(pool_size, list | tuple)
        for size in pool_size if several else [pool_size]:
            check_count("pool_size", size)
        self.pool_size = [*pool_size] if several else pool_size
        keras_private.build_at_init(self)

    def _sizes(self, shapes):
        shapes = [tuple(shape) for shape in shapes]
        if len(shapes) != 2 or len({len(shape) for shape in shapes}) != 1:
            raise ValueError(
                "`MaxUnpooling` takes a list of two tensors: what is to be unpooled, "
                f"and what was pooled. Received: shapes {shapes}"
            )
        axes = len(shapes[0]) - 2
        sizes = self.pool_size
        sizes = sizes if isinstance(sizes, list) else [sizes] * axes
        wanted = [
            None if n is None else n // size
            for n, size in zip(shapes[1][1:-1], sizes, strict=False)
        ]
        pairs = zip([*wanted, shapes[1][-1]], shapes[0][1:], strict=False)
        fits = all(None in pair or pair[0] == pair[1] for pair in pairs)
        if len(sizes) != axes or not fits:
            raise ValueError(
                "`MaxUnpooling` takes [h, x] of which h has the shape of x pooled by "
                f"pool_size={self.pool_size}. Received: shapes {shapes}"
            )
        return sizes

    def call(self, inputs):
        h, x = inputs
        return unpooled(h, x, self._sizes([h.shape, x.shape]))

    def compute_output_shape(self, input_shape):
        self._sizes(input_shape)
        return tuple(input_shape[1])

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}
