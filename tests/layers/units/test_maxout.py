"""Maxout against its formula."""

import keras
import numpy as np
import pytest

from keras_dlparts.layers import Maxout


def reference(x, n):
    """y_u = max_j x_{j n + u}, on the last axis."""
    y = np.empty((*x.shape[:-1], n))
    for u in range(n):
        y[..., u] = x[..., u::n].max(axis=-1)
    return y


@pytest.mark.parametrize("axis", [-1, 1, 2, -2])
@pytest.mark.parametrize("units", [1, 2, 6])
def test_formula(axis, units):
    x = np.random.default_rng(0).normal(size=(3, 6, 6)).astype("float32")
    want = np.moveaxis(reference(np.moveaxis(x, axis, -1), units), -1, axis)
    y = keras.ops.convert_to_numpy(Maxout(units, axis=axis)(x))
    np.testing.assert_array_equal(y, want.astype("float32"))


def test_dense_and_maxout_are_the_papers_unit():
    """h_u = max_j (x W_uj + b_uj), and only the largest piece gets a gradient."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(6), Maxout(2)])
    W, b = model.get_weights()
    b[:] = np.arange(6)
    model.set_weights([W, b])
    x = np.random.default_rng(1).normal(size=(5, 2)).astype("float32")
    pieces = (x @ W + b).reshape(5, 3, 2)  # (piece j, unit u)
    got = model.predict(x, verbose=0)
    np.testing.assert_allclose(got, pieces.max(axis=1), rtol=1e-5)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(x, got - 1)  # 2 (y - target) / 10 = 0.2 an output
    moved = b - model.get_weights()[1]
    winners = np.eye(3)[pieces.argmax(axis=1)].sum(axis=0)  # (unit, piece)
    np.testing.assert_allclose(moved, 0.2 * winners.T.ravel(), rtol=1e-4, atol=1e-6)


def test_masks_pass_only_where_they_still_fit():
    x = keras.layers.Masking()(np.ones((2, 4, 6), "float32"))
    assert Maxout(3)(x)._keras_mask.shape == (2, 4)
    assert getattr(Maxout(2, axis=1)(x), "_keras_mask", None) is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"units": 0}, ValueError, "at least 1. Received: units=0"),
        ({"units": 2.0}, TypeError, "an integer. Received: units=2.0"),
        ({"units": True}, TypeError, "an integer"),
        ({"units": 2, "axis": 0}, ValueError, "counts the samples"),
        ({"units": 2, "axis": None}, TypeError, "`axis` must be an integer"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Maxout(**arguments)


def test_shapes_that_do_not_fit():
    for shape in ((2, 5), (2, None)):
        with pytest.raises(ValueError, match=r"multiple of `units`.*let the layer"):
            Maxout(3)(keras.KerasTensor(shape))
    for axis in (2, -2):
        with pytest.raises(ValueError, match=r"from 1 to 1. Received: axis="):
            Maxout(1, axis=axis)(keras.KerasTensor((2, 4)))
