import keras
import numpy as np
import pytest

from keras_dlparts.layers import MinMaxNormalization


def reference(x, data, low, high, axis):
    m, M = data.min(axis=axis, keepdims=True), data.max(axis=axis, keepdims=True)
    span = np.where(m == M, 1, M - m)
    return low + (high - low) * (x - m) / span


@pytest.mark.parametrize(
    ("axis", "reduced"),
    [(-1, (0, 1)), (1, (0, 2)), ((1, 2), (0,)), ((-1, 1), (0,)), (None, (0, 1, 2))],
)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1)])
def test_formula(axis, reduced, low, high):
    rng = np.random.default_rng(0)
    data, x = rng.normal(5, 3, (2, 20, 3, 4))
    layer = MinMaxNormalization(low, high, axis=axis)
    layer.adapt(data)
    want = reference(x, data, low, high, reduced)
    np.testing.assert_allclose(np.asarray(layer(x)), want, rtol=1e-4, atol=1e-5)
    y = np.asarray(layer(data))
    assert y.min() == pytest.approx(low, abs=1e-6)
    assert y.max() == pytest.approx(high, abs=1e-6)


def test_constant_feature_and_inverse():
    data = np.array([[1.0, 7.0], [3.0, 7.0]], "float32")
    layer, back = (MinMaxNormalization(-1, 1, invert=i) for i in (False, True))
    layer.adapt(data)
    back.adapt(data)
    y = keras.ops.convert_to_numpy(layer(data))
    assert y.tolist() == [[-1, -1], [1, -1]]
    assert keras.ops.convert_to_numpy(back(y)).tolist() == data.tolist()


@pytest.mark.parametrize("invert", [False, True])
def test_before_adapt_it_passes_its_input_on(invert):
    x = np.array([[-3.0, 0.5, 9.0]], "float32")
    y = keras.ops.convert_to_numpy(MinMaxNormalization(-1, 1, invert=invert)(x))
    np.testing.assert_allclose(y, x, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"low": 1, "high": 1}, ValueError),
        ({"low": 1, "high": 0}, ValueError),
        ({"high": float("inf")}, ValueError),
        ({"low": float("nan")}, ValueError),
        ({"low": "0"}, TypeError),
        ({"high": True}, TypeError),
        ({"invert": "yes"}, TypeError),
    ],
)
def test_bad_arguments(arguments, error):
    with pytest.raises(error, match=r"must be.*Received"):
        MinMaxNormalization(**arguments)
