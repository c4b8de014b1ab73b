"""What layers and models add to the losses of a model."""

import keras
import numpy as np
from keras import ops


def add_loss(layer, loss):
    """Add a loss to those of a layer, in the dtype of the others, which Keras sums.

    Keras' own losses are of its `floatx`.
    """
    layer.add_loss(ops.cast(loss, keras.config.floatx()))


def nan_unless(condition):
    """0 where a boolean tensor is true and NaN where it is not, in float32.

    A step that XLA compiles cannot raise an error: bad values make what this is added
    to NaN.
    """
    return ops.cast(ops.where(condition, 0.0, np.nan), "float32")
