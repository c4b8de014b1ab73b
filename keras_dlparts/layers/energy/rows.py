"""The inputs of machines: rows of units."""


def width(layer, input_shape):
    """How many units a row has; raises where inputs are no rows of a known length."""
    if len(input_shape) == 2 and input_shape[-1] is not None:
        return input_shape[-1]
    raise ValueError(
        f"{type(layer).__name__} takes rows of units, (batch, units), of a known "
        f"number. Received: an input of shape {tuple(input_shape)}. Put a Flatten before it"
    )
