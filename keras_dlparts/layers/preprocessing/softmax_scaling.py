"""Softmax scaling: standardise, then squash with the logistic function.

    mu_j = mean x_j,  sigma_j = standard deviation of x_j     over what `adapt` saw
    y_j  = 1 / (1 + exp(-(x_j - mu_j) / sigma_j))             in (0, 1)

Near the mean it is linear; outliers saturate instead of squeezing the rest, as
they do in min-max normalisation. A constant feature has sigma_j = 0; it is divided
by 1 instead and becomes 1/2.
Shapes: x (batch, ...) -> y (batch, ...); j runs over the kept axes. The same in
training and inference.
Pyle 1999, "Data Preparation for Data Mining", chapter 7.
"""

import keras
import numpy as np
from keras import ops

from keras_dlparts.layers.preprocessing.adapting import AdaptingLayer, Moments

CASES = {
    "SoftmaxScaling": (
        {"arguments": {}, "input_shape": (4, 8)},
        {"arguments": {"axis": (1, 3)}, "input_shape": (2, 3, 4, 5)},
    )
}


def logistic(x, mu, sigma):
    """Standardise x by mu and sigma, then squash it into (0, 1)."""
    return ops.sigmoid((x - mu) / sigma)


@keras.saving.register_keras_serializable("dlparts")
class SoftmaxScaling(AdaptingLayer):
    """Squashes features into (0, 1) by the mean and deviation that `adapt` saw.

    There is no inverse: far from the mean the output is rounded to 0 or 1. Before
    `adapt` mu is 0 and sigma is 1.

    Args:
        axis: Integer, several, or None. The axes with statistics for each index,
            as in `keras.layers.Normalization`; None for one pair of everything.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`.

    Output shape: that of the input. Masks pass.

    Example:

    >>> layer = SoftmaxScaling()
    >>> layer.adapt(np.array([[1.0], [3.0]]))
    >>> np.asarray(layer(np.array([[2.0], [3.0], [99.0]]))).round(3).tolist()
    [[0.5], [0.731...], [1.0]]

    Reference: Pyle 1999, "Data Preparation for Data Mining", chapter 7.
    """

    def __init__(self, axis: int | list[int] | tuple[int, ...] | None = -1, **kwargs):
        super().__init__(axis=axis, **kwargs)

    def _add_statistics(self, features):
        self.mean = self._statistic("mean", (features,), "zeros")
        self.deviation = self._statistic("deviation", (features,), "ones")

    def _learn(self, parts):
        moments = Moments()
        for rows in parts:
            moments.add(rows)
        deviation = np.sqrt(moments.variance)
        self.mean.assign(moments.mean)
        # A backend may take a smaller number for 0 as it divides.
        constant = deviation < np.finfo(self._precision).tiny
        self.deviation.assign(np.where(constant, 1, deviation))

    def _transform(self, x):
        return logistic(x, self._place(self.mean), self._place(self.deviation))
