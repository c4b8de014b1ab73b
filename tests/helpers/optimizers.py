"""Steps of an optimizer on one variable, to compare with a slow twin."""

import keras


def stepped(optimizer, start, gradients):
    """The variable after a step for each gradient, on JAX through what `fit` calls.

    Args:
        optimizer: An optimizer that is not built.
        start: Array, the variable's first value.
        gradients: List of arrays.
    """
    variable = keras.Variable(start, name="w")
    step(optimizer, variable, gradients)
    return keras.ops.convert_to_numpy(variable)


def step(optimizer, variable, gradients):
    """Make a step of a variable for each gradient, on JAX through what `fit` calls."""
    optimizer.build([variable])
    for g in gradients:
        if keras.backend.backend() == "jax":
            values = [v.value for v in optimizer.variables]
            (new,), others = optimizer.stateless_apply(values, [g], [variable.value])
            variable.assign(new)
            for v, value in zip(optimizer.variables, others, strict=True):
                v.assign(value)
        else:
            optimizer.apply([keras.ops.convert_to_tensor(g)], [variable])
