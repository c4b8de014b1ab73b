import keras
import numpy as np
import pytest

from keras_dlparts.layers import SoftmaxScaling


@pytest.mark.parametrize(
    ("axis", "reduced"), [(-1, (0, 1)), ((1, 2), (0,)), (None, (0, 1, 2))]
)
def test_formula(axis, reduced):
    rng = np.random.default_rng(0)
    data, x = rng.normal(5, 3, (2, 20, 3, 4))
    layer = SoftmaxScaling(axis=axis)
    layer.adapt(data)
    mu, sigma = (f(data, axis=reduced, keepdims=True) for f in (np.mean, np.std))
    want = 1 / (1 + np.exp(-(x - mu) / sigma))
    y = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-6)


def test_agrees_with_keras_own_standardisation():
    data = np.random.default_rng(1).normal(2, 5, (300, 6)).astype("float32")
    layer, theirs = SoftmaxScaling(), keras.layers.Normalization()
    layer.adapt(data)
    theirs.adapt(data)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer(data)),
        keras.ops.convert_to_numpy(keras.ops.sigmoid(theirs(data))),
        rtol=1e-4,
        atol=1e-5,
    )


def test_outliers_stay_in_range_and_constants_are_a_half():
    data = np.array([[1.0, 0.1], [2.0, 0.1], [3.0, 0.1]], "float32")
    layer = SoftmaxScaling()
    layer.adapt(data)
    y = keras.ops.convert_to_numpy(layer(np.float32([[-1e9, 0.1], [1e9, 0.2]])))
    assert y[:, 0].tolist() == [0, 1]
    assert y[0, 1] == 0.5
    assert y[1, 1] == pytest.approx(1 / (1 + np.exp(-0.1)), rel=1e-5)


@pytest.mark.parametrize("size", [1e-44, 1e-50])
def test_what_float32_takes_for_0_counts_as_a_constant(size):
    layer = SoftmaxScaling()
    layer.adapt(np.array([[0.0], [size]]))
    y = keras.ops.convert_to_numpy(layer(np.zeros((2, 1), "float32")))
    np.testing.assert_array_equal(y, 0.5)


def test_before_adapt_it_is_the_logistic_function():
    y = keras.ops.convert_to_numpy(SoftmaxScaling()(np.float32([[0.0, 1.0]])))
    np.testing.assert_allclose(y, [[0.5, 1 / (1 + np.exp(-1))]], rtol=1e-6)
