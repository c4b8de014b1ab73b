"""Clipping by a fixed norm.

    t = threshold

Shapes: a number. Pascanu, Mikolov & Bengio 2013, "On the difficulty of training
recurrent neural networks", arXiv:1211.5063.
"""

import keras

from keras_dlparts.optimizers.clipping_rule import ClippingRule
from keras_dlparts.support.checks import check_number

CASES = {"FixedNorm": ({"arguments": {"threshold": 0.1}},)}


@keras.saving.register_keras_serializable("dlparts")
class FixedNorm(ClippingRule):
    """Clips the norm of the whole gradient at a threshold.

    The threshold is a variable: `rule.threshold.assign(0.5)` takes effect in the next
    step, without a new compilation.

    Args:
        threshold: Float, greater than 0.

    Example:

    >>> from keras_dlparts.optimizers import Clipped
    >>> optimizer = Clipped(keras.optimizers.SGD(0.1), by=FixedNorm(1.0))
    """

    def __init__(self, threshold: float = 1.0):
        self.first_threshold = check_number("threshold", threshold, above=0)

    def limit(self, norm, state, learning_rate):
        return self.threshold * 1.0, state

    def get_config(self):
        return {"threshold": self.first_threshold}
