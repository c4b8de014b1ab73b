"""Clipping by the local smoothness of the loss.

    (L0, L1)-smooth:  || H(x) || <= L0 + L1 || g(x) ||

    eta = the learning rate;  with adapt_learning_rate  min(learning rate, 1 / (m L0))
    t   = min(1, 1 / (m L1)) / eta                       m = margin = 10

Shapes: numbers. A step is eta min(||g||, t) long, so t bounds its length by
min(1, 1 / (m L1)), inside which the gradient cannot change by much. With plain
gradient descent and eta = 1 / (m L0) this is the theorem of Zhang, He, Sra &
Jadbabaie 2019, "Why gradient clipping accelerates training", arXiv:1905.11881 (some
lecture notes print L0 for the L1 of the second term).
"""

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.optimizers.clipping_rule import ClippingRule
from keras_dlparts.support.checks import check_number

CASES = {"RelaxedSmoothness": ({"arguments": {"L0": 1.0, "L1": 2.0}},)}

# The value of the variables L0 and L1 while the constant is not known.
_UNKNOWN = -1.0


def step_limits(L0, L1, margin):
    """The largest step size, and the largest length of a step."""
    return 1.0 / (margin * L0), ops.minimum(1.0, 1.0 / (margin * L1))


@keras.saving.register_keras_serializable("dlparts")
class RelaxedSmoothness(ClippingRule):
    """Clips where the loss may bend, by the constants L0 and L1 of the loss.

    The constants are variables. `callbacks.RelaxedSmoothnessClipping` measures them
    as training goes; by hand, `rule.L1.assign(3.0)`. While they are unknown nothing is
    clipped. The threshold follows the learning rate of each step, schedules included.

    Args:
        L0: Optional float, at least 0. Smoothness where the gradient is zero.
        L1: Optional float, at least 0. Smoothness gained by each unit of gradient norm.
        adapt_learning_rate: Boolean. Also keep the learning rate below
            `1 / (margin L0)`. Of use for optimizers that step by the gradient itself
            (`SGD`), not for those that divide by its size (`Adam`).
        margin: Float, greater than 0. The 10 of the theorem, for constants that hold
            everywhere; smaller steps further. For constants that are measured
            `callbacks.RelaxedSmoothnessClipping` has `safety`.

    Example:

    >>> from keras_dlparts.optimizers import Clipped
    >>> rule = RelaxedSmoothness(L0=1.0, L1=5.0)
    >>> optimizer = Clipped(keras.optimizers.SGD(0.1), by=rule)
    """

    def __init__(
        self,
        L0: float | None = None,
        L1: float | None = None,
        adapt_learning_rate: bool = False,
        margin: float = 10.0,
    ):
        for name, value in (("L0", L0), ("L1", L1)):
            if value is not None:
                check_number(name, value, least=0)
        self.constants = L0, L1
        self.adapt_learning_rate = adapt_learning_rate
        self.margin = check_number("margin", margin, above=0)

    def state(self, shapes):
        L0, L1 = (_UNKNOWN if value is None else value for value in self.constants)
        return {"L0": L0, "L1": L1}

    @property
    def L0(self):
        return self.variables["L0"]

    @property
    def L1(self):
        return self.variables["L1"]

    def limit(self, norm, state, learning_rate):
        _, length = step_limits(state["L0"], state["L1"], self.margin)
        limit = length / learning_rate
        return ops.where(state["L1"] < 0, float("inf"), limit), state

    def rate(self, learning_rate):
        if not self.adapt_learning_rate:
            return learning_rate
        known = self.L0 >= 0
        largest, _ = step_limits(self.L0, self.L1, self.margin)
        largest = ops.cast(ops.where(known, largest, float("inf")), "float32")
        return ops.minimum(ops.cast(learning_rate, "float32"), largest)

    def logs(self):
        logs = super().logs()
        if (L1 := backend.number(self.L1)) >= 0:
            logs |= {"L0": backend.number(self.L0), "L1": L1}
        return logs

    def get_config(self):
        return {
            "L0": self.constants[0],
            "L1": self.constants[1],
            "adapt_learning_rate": self.adapt_learning_rate,
            "margin": self.margin,
        }
