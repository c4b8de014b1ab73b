"""Clipping by a percentile of the norms so far (AutoClip).

    H_t = the last `window` norms n_s, s <= t, this step's included
    t   = the p-th percentile of H_t, interpolated linearly

Shapes: H is (window,). Seetharaman, Wichern, Pardo & Le Roux 2020, "AutoClip:
adaptive gradient clipping for source separation networks", arXiv:2007.14469. The
paper keeps every norm; here that is so for the first `window` steps.
"""

import keras
import numpy as np
from keras import ops

from keras_dlparts.optimizers.clipping_rule import ClippingRule
from keras_dlparts.support.checks import check_count, check_number

CASES = {"Percentile": ({"arguments": {"percentile": 50.0, "window": 4}},)}


def percentile(values, count, p):
    """The p-th percentile of the first `count` of values; the others are ignored."""
    position = ops.arange(values.shape[0], dtype="float32")
    ordered = ops.sort(ops.where(position < count, values, float("inf")))
    place = (count - 1.0) * (p / 100.0)
    low = ops.floor(place)
    high = ops.minimum(low + 1.0, count - 1.0)
    a = ops.take(ordered, ops.cast(low, "int32"))
    b = ops.take(ordered, ops.cast(high, "int32"))
    return a + (place - low) * (b - a)


@keras.saving.register_keras_serializable("dlparts")
class Percentile(ClippingRule):
    """Clips at a percentile of the gradient norms seen so far.

    It needs no scale: at 10, the paper's value, nine steps in ten are clipped, and
    the threshold falls as the gradient does.

    Args:
        percentile: Float from 0 to 100.
        window: Integer, at least 1. How many norms are remembered.

    Example:

    >>> from keras_dlparts.optimizers import Clipped
    >>> optimizer = Clipped(keras.optimizers.Adam(1e-3), by=Percentile(10))
    """

    def __init__(self, percentile: float = 10.0, window: int = 1000):
        if not check_number("percentile", percentile, least=0) <= 100:
            raise ValueError(
                "`percentile` must be between 0 and 100. "
                f"Received: percentile={percentile}"
            )
        self.percentile = percentile
        self.window = check_count("window", window)

    def state(self, shapes):
        return {"norms": np.zeros(self.window), "seen": 0.0}

    def limit(self, norm, state, learning_rate):
        seen, norms = state["seen"], state["norms"]
        place = ops.arange(self.window, dtype="float32")
        norms = ops.where(place == ops.mod(seen, self.window), norm, norms)
        count = ops.minimum(seen + 1.0, float(self.window))
        limit = percentile(norms, count, self.percentile)
        return limit, {"norms": norms, "seen": seen + 1.0}

    def get_config(self):
        return {"percentile": self.percentile, "window": self.window}
