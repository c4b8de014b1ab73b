"""Min-max normalisation: the range of the data onto a given range.

    m_j = min x_j,  M_j = max x_j               over all samples `adapt` has seen
    y_j = low + (high - low) (x_j - m_j) / (M_j - m_j)
    x_j = m_j + (M_j - m_j) (y_j - low) / (high - low)        with invert=True

A constant feature has M_j = m_j; it is divided by 1 instead and becomes `low`.
Shapes: x (batch, ...) -> y (batch, ...); j runs over the kept axes. The same in
training and inference.
"""

import keras
import numpy as np
from keras import ops

from keras_dlparts.layers.preprocessing.adapting import AdaptingLayer
from keras_dlparts.support.checks import check_number

CASES = {
    "MinMaxNormalization": (
        {"arguments": {}, "input_shape": (4, 8)},
        {
            "arguments": {"low": -1.0, "high": 1.0, "axis": None, "invert": True},
            "input_shape": (2, 3, 4, 5),
        },
    )
}


def rescale(x, from_low, from_high, to_low, to_high):
    """Map [from_low, from_high] linearly onto [to_low, to_high]."""
    span = from_high - from_low
    span = ops.where(span == 0, ops.ones_like(span), span)
    return to_low + (x - from_low) / span * (to_high - to_low)


@keras.saving.register_keras_serializable("dlparts")
class MinMaxNormalization(AdaptingLayer):
    """Scales features to `[low, high]` by the range that `adapt` has seen.

    Data outside that range lands outside `[low, high]`. Before `adapt` the layer
    passes its input on.

    Args:
        low: Float, where the least value goes.
        high: Float, `> low`, where the greatest value goes.
        axis: Integer, several, or None. The axes with a range for each index, as
            in `keras.layers.Normalization`; None for one range of everything.
        invert: Whether to map back from `[low, high]` to the data's range.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`.

    Output shape: that of the input. Masks pass.

    Example:

    >>> layer = MinMaxNormalization(low=-1, high=1)
    >>> layer.adapt(np.array([[0.0, 10.0], [4.0, 30.0]]))
    >>> np.asarray(layer(np.array([[1.0, 20.0]]))).tolist()
    [[-0.5, 0.0]]
    """

    def __init__(
        self,
        low: float = 0.0,
        high: float = 1.0,
        axis: int | list[int] | tuple[int, ...] | None = -1,
        invert: bool = False,
        **kwargs,
    ):
        super().__init__(axis=axis, **kwargs)
        for name, value in {"low": low, "high": high}.items():
            check_number(name, value)
        if not low < high:
            raise ValueError(
                f"`low` must be less than `high`. Received: low={low}, high={high}"
            )
        if not isinstance(invert, bool):
            raise TypeError(
                f"`invert` must be True or False. Received: invert={invert!r}"
            )
        self.low = low
        self.high = high
        self.invert = invert

    def _add_statistics(self, features):
        at = keras.initializers.Constant
        self.minimum = self._statistic("minimum", (features,), at(self.low))
        self.maximum = self._statistic("maximum", (features,), at(self.high))

    def _learn(self, parts):
        minimum, maximum = np.inf, -np.inf
        for rows in parts:
            minimum = np.minimum(minimum, rows.min(axis=0))
            maximum = np.maximum(maximum, rows.max(axis=0))
        self.minimum.assign(minimum)
        self.maximum.assign(maximum)

    def _transform(self, x):
        m, M = self._place(self.minimum), self._place(self.maximum)
        if self.invert:
            # Not `rescale`: a constant feature must come back as its constant.
            return m + (x - self.low) / (self.high - self.low) * (M - m)
        return rescale(x, m, M, self.low, self.high)

    def get_config(self):
        return {
            **super().get_config(),
            "low": self.low,
            "high": self.high,
            "invert": self.invert,
        }
