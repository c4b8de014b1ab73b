"""Forget what is inside a layer in the forward pass, compute it again going back.

    y, state' = f(x, weights, state)       only x, weights and state are kept

`keras.RematScope` does so for layers without state. Batch normalisation moves its
averages and a random layer its seed in a pass, which must happen once and not twice:
here state is an argument, and what it became is a result.
"""

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import keras_private


def recomputed(layer, function, x):
    """`function(x)`, which uses the variables of `layer` and no others."""
    moving = layer.non_trainable_variables
    variables = [*layer.trainable_variables, *moving]
    # In the variables' own dtype, since what is assigned back must not be rounded to
    # the layer's; the layers inside cast what they read.
    with keras_private.no_autocast():
        values = [variable.value for variable in layer.trainable_variables]
        # Copies, since PyTorch assigns in place and the second pass needs the values
        # from before the first.
        values += [ops.copy(variable.value) for variable in moving]

    def pure(x, *values):
        mapping = [*zip(variables, values, strict=True)]
        with keras_private.no_autocast(), keras.StatelessScope(mapping):
            y = function(x)
            return (y, *[variable.value for variable in moving])

    y, *moved = keras.remat(pure)(x, *values)
    backend.assign(moving, moved)
    return y
