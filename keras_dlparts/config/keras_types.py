"""What Keras' own arguments take: its classes have no annotations.

The table says what a part as an argument must be, and which numbers are rates.
Everything else is told by the argument's default, as far as that goes.
"""

import fnmatch

_SCHEDULE = "keras.optimizers.schedules.LearningRateSchedule"
_INITIALIZER = "str | keras.initializers.Initializer | None"
_REGULARIZER = "str | keras.regularizers.Regularizer | None"
_CONSTRAINT = "str | keras.constraints.Constraint | None"

# {(class, argument): annotation}, either of them a pattern.
TABLE = {
    ("Bidirectional", "layer"): "keras.layers.Layer",
    ("Bidirectional", "backward_layer"): "keras.layers.Layer | None",
    ("TimeDistributed", "layer"): "keras.layers.Layer",
    ("SpectralNormalization", "layer"): "keras.layers.Layer",
    ("RNN", "cell"): "keras.layers.Layer | list[keras.layers.Layer]",
    ("StackedRNNCells", "cells"): "list[keras.layers.Layer]",
    ("Pipeline", "layers"): "list[keras.layers.Layer]",
    ("LossScaleOptimizer", "inner_optimizer"): "keras.optimizers.Optimizer",
    ("CosineDecay", "initial_learning_rate"): "NotNegative",  # it may warm up from 0
    ("CosineDecay", "warmup_target"): "NotNegative | None",
    ("*Decay*", "initial_learning_rate"): "Positive",
    ("*Decay", "end_learning_rate"): "NotNegative",
    ("PiecewiseConstantDecay", "values"): "list[NotNegative]",
    ("*Dropout*", "rate"): "float",
    ("*", "learning_rate"): f"Positive | {_SCHEDULE}",
    ("*", "*_initializer"): _INITIALIZER,
    ("*", "*_regularizer"): _REGULARIZER,
    ("*", "*_constraint"): _CONSTRAINT,
    ("*", "*activation"): "str | Callable | None",
}


def annotation(owner, argument, default):
    """The annotation that an argument of a class of Keras would have, or None.

    Args:
        owner: the name of the class that defines the argument.
        argument: its name.
        default: its default, of whatever type; `...` where it is required.
    """
    for (owners, arguments), found in TABLE.items():
        named = fnmatch.fnmatchcase(argument, arguments)
        if named and fnmatch.fnmatchcase(owner, owners):
            return found
    if isinstance(default, bool):
        return "bool | None"
    if isinstance(default, int | float):
        return "NumberOrMore"
    return None
