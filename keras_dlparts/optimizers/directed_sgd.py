"""Descent along a direction made of the whole gradient.

    d = direction(g),   x <- x - learning_rate d

Shapes: as the variables. Keras hands an optimizer one gradient at a time; here the
direction sees all of them at once, summed over the replicas.
"""

from collections.abc import Callable

import keras
from keras import ops

from keras_dlparts import backend


class DirectedSGD(keras.optimizers.Optimizer):
    """Base of optimizers that give `direction(gradients, variables)`."""

    def __init__(
        self,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule
        | Callable,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        backend.before_step(self, self.direction)

    def direction(self, gradients, variables):
        """What to step along, a tensor for each gradient."""
        raise NotImplementedError

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * ops.cast(gradient, variable.dtype))
