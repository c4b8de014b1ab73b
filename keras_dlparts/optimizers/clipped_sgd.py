"""Clipped gradient descent, and its mixed form with momentum.

    clip(v) = v min(1, gamma / ||v||)                 the norm over all variables

    momentum = 0:   x <- x - eta clip(g)
    else:           m <- beta m + (1 - beta) g                    m starts at 0
                    x <- x - eta (nu clip(m) + (1 - nu) clip(g))

Shapes: as the variables. Zhang, He, Sra & Jadbabaie 2019, arXiv:1905.11881; the mixed
form is of Zhang, Jin, Fang & Wang 2020, "Improved analysis of clipping algorithms for
non-convex optimization", arXiv:2010.02519, whose gamma is ours times eta. There
nu = 0.7 and beta = 0.999.
"""

from collections.abc import Callable

import keras

from keras_dlparts.backend import keras_private
from keras_dlparts.optimizers.clipping_rule import clip_by, global_norm
from keras_dlparts.optimizers.directed_sgd import DirectedSGD
from keras_dlparts.support.checks import check_number

CASES = {
    "ClippedSGD": (
        {"arguments": {"learning_rate": 0.1, "gamma": 0.1}},
        {"arguments": {"learning_rate": 0.1, "gamma": 0.1, "momentum": 0.9}},
    )
}


def clip(gradients, gamma):
    """The gradients, shortened together to a norm of at most gamma."""
    return clip_by(gradients, global_norm(gradients), gamma)


def mixed(gradients, momenta, gamma, momentum, mix):
    """The new momenta, and the direction nu clip(m) + (1 - nu) clip(g)."""
    momenta = [
        m + (1.0 - momentum) * (g - m) for g, m in zip(gradients, momenta, strict=True)
    ]
    both = zip(clip(momenta, gamma), clip(gradients, gamma), strict=True)
    return momenta, [mix * m + (1.0 - mix) * g for m, g in both]


@keras.saving.register_keras_serializable("dlparts")
class ClippedSGD(DirectedSGD):
    """Gradient descent whose steps are never longer than `learning_rate * gamma`.

    Args:
        learning_rate: Float, a `LearningRateSchedule`, or a callable. The eta.
        gamma: Float, greater than 0. The norm to which longer gradients are cut.
        momentum: Float in `[0, 1)`. The beta: how much of the running mean of the
            gradients is kept in each step. 0 is plain clipped gradient descent.
        mix: Float in `[0, 1]`. The nu: the part of a step that follows the momentum.
            Of no effect without momentum.
        name: Optional name.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile(ClippedSGD(learning_rate=0.1, gamma=0.25, momentum=0.9), "mse")
    """

    def __init__(
        self,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule
        | Callable = 0.01,
        gamma: float = 1.0,
        momentum: float = 0.0,
        mix: float = 0.7,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(learning_rate, name, **kwargs)
        self.gamma = check_number("gamma", gamma, above=0)
        if not 0 <= momentum < 1:
            raise ValueError(
                f"`momentum` must be in [0, 1). Received: momentum={momentum}"
            )
        if not 0 <= mix <= 1:
            raise ValueError(f"`mix` must be in [0, 1]. Received: mix={mix}")
        self.momentum = momentum
        self.mix = mix

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momenta = (
            self.add_optimizer_variables(variables, "momentum") if self.momentum else []
        )

    def direction(self, gradients, variables):
        if not self.momentum:
            return clip(gradients, self.gamma)
        at = [keras_private.variable_index(self, v) for v in variables]
        slots = [self._momenta[i] for i in at]
        momenta, direction = mixed(
            gradients, slots, self.gamma, self.momentum, self.mix
        )
        for slot, value in zip(slots, momenta, strict=True):
            slot.assign(value)
        return direction

    def get_config(self):
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "momentum": self.momentum,
            "mix": self.mix,
        }
