import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts.regularizers import SparsityKL


def reference(a, rho):
    r = a.mean(0)
    return np.sum(rho * np.log(rho / r) + (1 - rho) * np.log((1 - rho) / (1 - r)))


def test_the_loss_of_a_layer_is_that_of_the_batch_means():
    layer = keras.layers.Dense(
        6, "sigmoid", activity_regularizer=SparsityKL(0.05, weight=3.0)
    )
    for rows in (4, 32):  # Keras divides by the number of rows; the penalty must not
        x = np.random.default_rng(0).normal(size=(rows, 5)).astype("float32")
        a = ops.convert_to_numpy(layer(x))
        loss = ops.convert_to_numpy(layer.losses[-1])
        np.testing.assert_allclose(loss, 3 * reference(a, 0.05), rtol=1e-5)


def test_means_of_zero_and_one_are_finite_and_others_refused():
    penalty = SparsityKL(0.5)
    assert np.isfinite(float(penalty(np.array([[0.0, 1.0]], "float32"))))
    with pytest.raises(ValueError, match=r"activities in \[0, 1\].*Received: -0.2 to"):
        penalty(np.array([[-0.2, 1.0]], "float32"))
    for rho in (0.0, 1.0):
        with pytest.raises(ValueError, match="`rho` must be a finite number"):
            SparsityKL(rho)
    with pytest.raises(ValueError, match="`weight` must be"):
        SparsityKL(0.1, weight=-1.0)
