"""New layers and operations that do what given ones do."""

import keras


def fresh(operation):
    """A layer or operation with the same config; a layer has new weights.

    An operation whose arguments no config can hold, a function for instance, is given
    back as it is: it has no weights, so two models may share it.
    """
    try:
        return type(operation).from_config(operation.get_config())
    except NotImplementedError:
        if isinstance(operation, keras.Layer):
            raise
        return operation
