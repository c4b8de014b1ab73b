"""Normalised gradient descent.

    h = eta / (||g|| + beta),   x <- x - h g

Shapes: as the variables; the norm is over all of them. With the step size
eta_c = eta / beta and the threshold gamma = beta of clipped gradient descent,
h_c = min(eta_c, gamma eta_c / ||g||), the two are within a factor of two of each other:
h_c / 2 <= h <= h_c.
Zhang, He, Sra & Jadbabaie 2019, arXiv:1905.11881.
"""

from collections.abc import Callable

import keras

from keras_dlparts.optimizers.clipping_rule import global_norm
from keras_dlparts.optimizers.directed_sgd import DirectedSGD
from keras_dlparts.support.checks import check_number

CASES = {"NormalizedSGD": ({"arguments": {"learning_rate": 0.1, "beta": 0.5}},)}


def normalized(gradients, beta):
    """The gradients over their norm plus beta."""
    scale = 1.0 / (global_norm(gradients) + beta)
    return [g * keras.ops.cast(scale, g.dtype) for g in gradients]


@keras.saving.register_keras_serializable("dlparts")
class NormalizedSGD(DirectedSGD):
    """Steps of nearly the same length, however large the gradient is.

    Args:
        learning_rate: Float, a `LearningRateSchedule`, or a callable. The eta: the
            length of a step where the gradient is large.
        beta: Float, greater than 0. Added to the norm; below it steps grow shorter
            with the gradient, as those of SGD with the learning rate `eta / beta`.
        name: Optional name.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile(NormalizedSGD(learning_rate=0.01, beta=0.1), "mse")
    """

    def __init__(
        self,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule
        | Callable = 0.01,
        beta: float = 1.0,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(learning_rate, name, **kwargs)
        self.beta = check_number("beta", beta, above=0)

    def direction(self, gradients, variables):
        return normalized(gradients, self.beta)

    def get_config(self):
        return {**super().get_config(), "beta": self.beta}
