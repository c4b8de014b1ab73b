"""Clipped: any Keras optimizer, with its gradient clipped by a rule that may move.

    g  = the gradient of the step: unscaled, accumulated, summed over the replicas
    x <- the optimizer's step with rule(g)

Shapes: as the variables.

Keras' own `global_clipnorm` clips the gradient of each replica before they are
summed, and its threshold is a constant of the compiled step. Here two replicas clip
as one device does, and the threshold is a variable.
"""

import keras

from keras_dlparts import backend
from keras_dlparts.optimizers.clipping_rule import ClippingRule
from keras_dlparts.optimizers.fixed_norm import FixedNorm
from keras_dlparts.optimizers.wrapping import Wrapping, named

CASES = {
    "Clipped": (
        {
            "arguments": lambda folder: {
                "optimizer": keras.optimizers.Adam(0.01),
                "by": FixedNorm(0.5),
            }
        },
    )
}


@keras.saving.register_keras_serializable("dlparts")
class Clipped(Wrapping):
    """Makes any optimizer step by a gradient that a rule has clipped.

    It is the optimizer it wraps in all else: learning rate, schedule, weight decay,
    gradient accumulation, moving average. `clip_threshold`, `gradient_norm` and
    `clipped_fraction` are in the history of a `dlparts train`; anywhere else
    `optimizer.logs()` gives them, and `optimizer.by.threshold` is the variable.

    The optimizer given is taken over: used by itself it would clip too.

    Args:
        optimizer: The optimizer. Under `mixed_float16` Keras puts its
            `LossScaleOptimizer` around this one, which is the right order.
        by: The rule: `FixedNorm`, `Percentile`, `AdaptiveUnit`, `ZScore`,
            `RelaxedSmoothness`, or a `ClippingRule` of your own.
        name: Optional name.

    Example:

    >>> import numpy as np
    >>> from keras_dlparts.optimizers import Percentile
    >>> optimizer = Clipped(keras.optimizers.Adam(1e-3), by=Percentile(10))
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer, "mse")
    >>> _ = model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
    >>> sorted(optimizer.logs())
    ['clip_threshold', 'clipped_fraction', 'gradient_norm']
    """

    def __init__(
        self,
        optimizer: str | keras.optimizers.Optimizer,
        by: ClippingRule,
        name: str | None = None,
    ):
        optimizer = named(optimizer)
        if not isinstance(by, ClippingRule):
            raise TypeError(
                "`by` must be a clipping rule, such as FixedNorm(1.0). "
                f"Received: by={by!r}"
            )
        if by.built:
            raise ValueError(
                "A clipping rule belongs to one optimizer, it remembers what it saw. "
                f"Received a rule in use: by={by!r}. Make a new one."
            )
        _check_wrapped(optimizer)
        super().__init__(optimizer, name)
        self.by = by
        backend.before_step(optimizer, by.clip, by.rate)

    def build_own(self, variables):
        self.by.build(self.optimizer, variables)

    def logs(self) -> dict[str, float]:
        """Figures since the last call, for the logs of an epoch."""
        return self.by.logs()

    def get_config(self):
        by = keras.saving.serialize_keras_object(self.by)
        return {**super().get_config(), "by": by}


def _check_wrapped(optimizer):
    """Refuse optimizers whose step cannot be reached, or that clip already."""
    given = type(optimizer).__name__
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "The gradient must be unscaled before it is clipped. Received: optimizer="
            "LossScaleOptimizer. Write LossScaleOptimizer(Clipped(...)) instead."
        )
    if type(optimizer).apply is not keras.optimizers.Optimizer.apply:
        raise ValueError(
            "`Clipped` wraps an optimizer that takes steps of its own, not another "
            f"wrapper. Received: optimizer={given}"
        )
    for argument in ("clipnorm", "global_clipnorm", "clipvalue"):
        if getattr(optimizer, argument) is not None:
            raise ValueError(
                f"The optimizer clips by itself. Received: {given}({argument}="
                f"{getattr(optimizer, argument)}). Leave that argument out."
            )
