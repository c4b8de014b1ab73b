"""Maxout: the largest of k features takes the place of all k.

    y_u = max_{j = 0..k-1} x_{j n + u}        u = 0..n-1, from n k features

Shapes: x (batch, ..., n k, ...) -> y (batch, ..., n, ...), on one axis. Training and
inference are the same. The affine maps are the layer's before it, Dense or Conv with
n k outputs: Dense(n k) and Maxout(n) are the paper's maxout units with k pieces.
Goodfellow et al. 2013, "Maxout networks", arXiv:1302.4389.
"""

import keras
from keras import ops

from keras_dlparts.backend import keras_private
from keras_dlparts.support.checks import check_count

CASES = {
    "Maxout": (
        {"arguments": {"units": 3}, "input_shape": (4, 12)},
        {"arguments": {"units": 2, "axis": 1}, "input_shape": (2, 4, 5)},
        {"arguments": {"units": 2, "axis": -1}, "input_shape": (2, 3, 4, 6)},
    )
}


def largest_of_each(x, units, axis):
    """The maximum over the features that stand `units` apart on an axis."""
    shape = [*ops.shape(x)]
    shape[axis : axis + 1] = [shape[axis] // units, units]
    return ops.max(ops.reshape(x, shape), axis=axis)


@keras.saving.register_keras_serializable("dlparts")
class Maxout(keras.layers.Layer):
    """Keeps the largest of every k features, as an activation that is learnt.

    It stands after a layer without an activation that has k times as many units.
    The features are grouped as TensorFlow Addons grouped them, so weights trained
    there fit here.

    Args:
        units: Integer. How many features are left; it divides those that come in.
        axis: Integer, not 0. The axis of the features.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features, ...)`.

    Output shape: that of the input with `units` features. Masks pass, unless `axis`
    is one that the mask speaks of.

    Example:

    >>> import numpy as np
    >>> x = np.array([[1.0, 5.0, 3.0, 2.0]])  # of units 2: (1, 3) and (5, 2)
    >>> keras.ops.convert_to_numpy(Maxout(2)(x)).tolist()
    [[3.0, 5.0]]

    Reference: Goodfellow et al. 2013, https://arxiv.org/abs/1302.4389
    """

    def __init__(self, units: int, axis: int = -1, **kwargs):
        super().__init__(**kwargs)
        check_count("units", units)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise TypeError(f"`axis` must be an integer. Received: axis={axis!r}")
        if axis == 0:
            raise ValueError(
                "`axis` must not be 0, which counts the samples. Received: axis=0"
            )
        self.units = units
        self.axis = axis
        self.supports_masking = True
        keras_private.build_at_init(self)

    def _features(self, shape):
        """The axis from the front, checked against a shape."""
        rank, axis = len(shape), self.axis
        if not (0 < axis < rank or -rank < axis < 0):
            raise ValueError(
                f"{self.name}: `axis` must be one of an input of rank {rank}, from 1 "
                f"to {rank - 1}. Received: axis={axis}, input shape {tuple(shape)}"
            )
        size = shape[axis]
        if size is None or size % self.units:
            raise ValueError(
                f"{self.name}: the number of features must be known and a multiple of "
                f"`units`. Received: units={self.units}, input shape {tuple(shape)}; "
                f"let the layer before have k * {self.units} outputs"
            )
        return axis % rank

    def call(self, inputs):
        return largest_of_each(inputs, self.units, self._features(inputs.shape))

    def compute_mask(self, inputs, previous_mask):
        if previous_mask is None:
            return None
        masked = self._features(inputs.shape) < len(previous_mask.shape)
        return None if masked else previous_mask

    def compute_output_shape(self, input_shape):
        shape = [*input_shape]
        shape[self._features(shape)] = self.units
        return tuple(shape)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "axis": self.axis}
