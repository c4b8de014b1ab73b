"""Lookahead: slow weights that follow the fast ones of any optimizer every few steps.

    phi_0 = theta_0
    theta <- the optimizer's step                              each step
    phi   <- phi + slow_step_size (theta - phi)                every sync_period steps,
    theta <- phi                                               right after that step

Shapes: as the variables. Steps are counted from the first one that this wrapper sees,
also where the optimizer that it is given has stepped before. The optimizer's own state
(momentum, second moments) goes on through the jump, as in the paper's experiments.
After a number of steps that is no multiple of `sync_period` the model has fast weights;
`slow_weights` are the others.
Zhang, Lucas, Hinton & Ba 2019, "Lookahead optimizer: k steps forward, 1 step back",
arXiv:1907.08610.
"""

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.optimizers.wrapping import Wrapping, check_wraps, named
from keras_dlparts.support.checks import check_count, check_number

CASES = {
    "Lookahead": (
        {
            "arguments": lambda folder: {
                "optimizer": keras.optimizers.Adam(0.01),
                "sync_period": 2,
            }
        },
    )
}


@keras.saving.register_keras_serializable("dlparts")
class Lookahead(Wrapping):
    """Makes any optimizer go back, every few steps, towards where it came from.

    It is the optimizer it wraps in all else: learning rate, schedule, weight decay,
    gradient accumulation, moving average. The slow weights begin as the weights of the
    first step after it was put around the optimizer, which may have trained the model
    before. A variable's constraint applies to the fast weights, after the jump.

    The optimizer given is taken over: used by itself it would look ahead too.

    Args:
        optimizer: The optimizer, which may be a `Clipped`. Under `mixed_float16` Keras
            puts its `LossScaleOptimizer` around this one, which is the right order.
        sync_period: Integer, `>= 1`. Steps from one jump to the next.
        slow_step_size: Float, `0 < slow_step_size <= 1`. How far the slow weights go
            towards the fast ones; 1 is the optimizer itself.
        name: Optional name.

    Example:

    >>> weights = keras.Variable([1.0])
    >>> optimizer = Lookahead(keras.optimizers.SGD(0.1), sync_period=2)
    >>> optimizer.build([weights])
    >>> for _ in range(2):  # to 0.9 and 0.8, and half of the way back to 1.0
    ...     optimizer.apply([keras.ops.ones(1)])
    >>> round(float(weights[0]), 6)
    0.9

    Reference: Zhang et al. 2019, https://arxiv.org/abs/1907.08610
    """

    def __init__(
        self,
        optimizer: str | keras.optimizers.Optimizer,
        sync_period: int = 6,
        slow_step_size: float = 0.5,
        name: str | None = None,
    ):
        optimizer = named(optimizer)
        check_count("sync_period", sync_period)
        check_number("slow_step_size", slow_step_size, above=0, most=1)
        check_wraps("Lookahead", optimizer)
        super().__init__(optimizer, name)
        self.sync_period = sync_period
        self.slow_step_size = slow_step_size
        backend.around_step(self.innermost, self._begin, self._end)

    def build_own(self, variables):
        inner = self.innermost
        self._begun = self.add_begin("lookahead_begun")
        self.slow_weights = [
            inner.add_variable_from_reference(v, "slow", initializer="zeros")
            for v in variables
        ]

    def _weights(self, variable):
        """(the slot of the slow weights, its value, the value of the fast ones)."""
        index = keras_private.variable_index(self.innermost, variable)
        slot = self.slow_weights[index]
        return slot, ops.convert_to_tensor(slot), ops.convert_to_tensor(variable)

    def _steps(self):
        """How many steps were made since this was put around the optimizer."""
        return ops.cast(self.iterations, "int32") - self._begun

    def _begin(self, variable):
        """The first step's weights are the slow ones."""
        slot, slow, fast = self._weights(variable)
        first = ops.equal(self._steps(), 0)
        self.innermost.assign(slot, ops.where(first, fast, slow))

    def _end(self, variable):
        slot, slow, fast = self._weights(variable)
        due = ops.equal((self._steps() + 1) % self.sync_period, 0)
        new = slow + self.slow_step_size * (fast - slow)
        self.innermost.assign(slot, ops.where(due, new, slow))
        self.innermost.assign(variable, ops.where(due, new, fast))

    def logs(self) -> dict[str, float]:
        """Those of the wrapped optimizer, for the logs of an epoch."""
        return getattr(self.optimizer, "logs", dict)()

    def get_config(self):
        return {
            **super().get_config(),
            "sync_period": self.sync_period,
            "slow_step_size": self.slow_step_size,
        }
