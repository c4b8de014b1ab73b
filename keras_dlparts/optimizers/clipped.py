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
from keras_dlparts.backend import keras_private
from keras_dlparts.optimizers.clipping_rule import ClippingRule
from keras_dlparts.optimizers.fixed_norm import FixedNorm

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


def _of_the_wrapped(name):
    """A property that is the wrapped optimizer's attribute of that name."""

    def get(self):
        return getattr(self.optimizer, name)

    def set(self, value):
        # Keras' constructor assigns its defaults before there is a wrapped optimizer.
        if "optimizer" in vars(self):
            setattr(self.optimizer, name, value)

    return property(get, set)


def named(identifier):
    """The optimizer of Keras that a name, a config or an object means.

    Keras' own `get` does not know all of its optimizers by their names, Lamb for one.

    >>> named("lamb").__class__.__name__, named("adam").__class__.__name__
    ('Lamb', 'Adam')
    """
    try:
        return keras.optimizers.get(identifier)
    except ValueError:
        for name, each in vars(keras.optimizers).items():
            plain = str(identifier).replace("_", "").lower()
            if isinstance(each, type) and name.lower() == plain:
                return each()
        raise


@keras.saving.register_keras_serializable("dlparts")
class Clipped(keras.optimizers.Optimizer):
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
        super().__init__(learning_rate=0.0, name=name)
        self.optimizer = optimizer
        self.by = by
        backend.before_step(optimizer, by.clip, by.rate)

    # What is set on the wrapped optimizer is seen from outside as well: Keras'
    # LossScaleOptimizer and its callback SwapEMAWeights look for it here.
    weight_decay = _of_the_wrapped("weight_decay")
    use_ema = _of_the_wrapped("use_ema")
    ema_momentum = _of_the_wrapped("ema_momentum")
    ema_overwrite_frequency = _of_the_wrapped("ema_overwrite_frequency")
    loss_scale_factor = _of_the_wrapped("loss_scale_factor")
    gradient_accumulation_steps = _of_the_wrapped("gradient_accumulation_steps")

    @property
    def variables(self):
        # The rule's are among them, so that whatever Keras does with an optimizer's
        # variables (saving, accumulating, skipping a step) it does with those.
        return self.optimizer.variables

    def build(self, variables):
        if self.built:
            return
        self.optimizer.build(variables)
        trained = keras_private.trained_by(self.optimizer)
        self.by.build(self.optimizer, trained)
        keras_private.train(self, trained)
        keras_private.show_moving_average(self, self.optimizer)
        self.built = True

    def apply(self, grads, trainable_variables=None):
        if not self.built:
            if trainable_variables is None:
                raise ValueError(
                    "The optimizer is not built. Call "
                    "`optimizer.build(trainable_variables)` first, or give "
                    "`trainable_variables`."
                )
            self.build([*trainable_variables])
        self.optimizer.apply(grads, trainable_variables)

    @property
    def learning_rate(self):
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.optimizer.learning_rate = learning_rate

    @property
    def iterations(self):
        return self.optimizer.iterations

    def scale_loss(self, loss):
        return self.optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        self.optimizer.finalize_variable_values(var_list)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        self.optimizer.exclude_from_weight_decay(var_list, var_names)

    def logs(self) -> dict[str, float]:
        """Figures since the last call, for the logs of an epoch."""
        return self.by.logs()

    def save_own_variables(self, store):
        """Nothing: the wrapped optimizer saves all."""

    def load_own_variables(self, store):
        """Nothing: the wrapped optimizer loads all."""

    def get_config(self):
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "by": keras.saving.serialize_keras_object(self.by),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # Not `keras.optimizers.get`, which does not know all of Keras' optimizers.
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("optimizer", "by")
        }
        return cls(**{**config, **parts})


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
