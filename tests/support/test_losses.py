"""What layers add to a model's losses is of the losses' dtype, or NaN."""

import keras
import numpy as np
from keras import ops

from keras_dlparts.support.losses import add_loss, nan_unless


def test_nan_where_a_condition_does_not_hold():
    held, broken = (nan_unless(ops.convert_to_tensor(c)) for c in (True, False))
    assert ops.convert_to_numpy(held) == 0
    assert np.isnan(ops.convert_to_numpy(broken))
    assert keras.backend.standardize_dtype(held.dtype) == "float32"


def test_a_loss_comes_in_the_dtype_of_the_others():
    layer = keras.layers.Layer()
    add_loss(layer, ops.ones((), "float16"))
    (loss,) = layer.losses
    assert keras.backend.standardize_dtype(loss.dtype) == keras.config.floatx()
