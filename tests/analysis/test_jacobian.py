"""The Jacobian's singular values: of nets whose Jacobian is known, exact and random."""

import sys

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts.analysis import jacobian


def test_of_a_linear_net_they_are_those_of_its_matrix():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(6, 5)), random.normal(size=(5, 4))
    x, z = keras.Input((2, 3)), keras.Input((2,))
    h = kl.Dense(5, use_bias=False, name="a")(kl.Flatten()(x))
    y = kl.Dense(4, use_bias=False, name="b")(h)
    model = keras.Model([x, z], [y, 2 * z])
    model.get_layer("a").kernel.assign(a)
    model.get_layer("b").kernel.assign(b)
    batch = [np.ones((3, 2, 3), "float32"), np.ones((3, 2), "float32")]
    found = jacobian(model, batch)
    whole = np.block([[(a @ b).T, np.zeros((4, 2))], [np.zeros((2, 6)), 2 * np.eye(2)]])
    expected = np.linalg.svd(whole, compute_uv=False)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4)
    assert (found.exact, found.shape) == (True, (6, 8))
    assert found.root_mean_square == pytest.approx(np.sqrt((expected**2).mean()))


def test_the_largest_of_a_large_one_and_the_mean_square(monkeypatch):
    monkeypatch.setattr(sys.modules[jacobian.__module__], "_EXACT", 10)
    layers = [kl.Dense(60, "tanh") for _ in range(2)]
    model = keras.Sequential([keras.Input((50,)), *layers])
    x = np.random.default_rng(1).normal(size=(1, 50)).astype("float32")
    found = jacobian(model, x, largest=5)
    monkeypatch.undo()
    exact = jacobian(model, x)
    assert (found.exact, exact.exact) == (False, True)
    np.testing.assert_allclose(found.values, exact.values[:5], rtol=0.02)
    assert found.root_mean_square == pytest.approx(exact.root_mean_square, rel=0.25)


def test_a_fresh_batch_normalisation_gets_the_data_s_statistics():
    norm = kl.BatchNormalization(center=False, scale=False, epsilon=0.0)
    model = keras.Sequential([keras.Input((3,)), norm])
    x = 5 * np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    values = jacobian(model, x).values
    np.testing.assert_allclose(
        np.sort(values), np.sort(1 / x.std(0, ddof=1)), rtol=1e-3
    )
    np.testing.assert_allclose(jacobian(model, x, calibrate=False).values, 1)
    np.testing.assert_array_equal(norm.moving_variance.numpy(), 1)


def test_integers_have_none():
    model = keras.Sequential([keras.Input((3,), dtype="int32"), kl.Embedding(5, 2)])
    with pytest.raises(ValueError, match="inputs of floats"):
        jacobian(model, np.ones((2, 3), "int32"))


def test_batch_normalisations_of_several_inputs_get_the_data_s_statistics():
    a, b = keras.Input((3,)), keras.Input((3,))
    norm = kl.BatchNormalization(center=False, scale=False, epsilon=0.0)
    model = keras.Model([a, b], norm(kl.Add()([a, b])))
    x = np.random.default_rng(0).normal(size=(2, 40, 3)).astype("float32")
    expected = np.sqrt(2) / x.sum(0).std(0, ddof=1)  # the Jacobian is twice a diagonal
    for batch in ([*x], tuple(x)):
        values = jacobian(model, batch).values
        np.testing.assert_allclose(np.sort(values), np.sort(expected), rtol=1e-3)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_half_precision(policy, monkeypatch):
    keras.utils.set_random_seed(0)
    dense = kl.Dense(6, use_bias=False, dtype=policy)
    model = keras.Sequential([keras.Input((4,)), dense])
    kernel = keras.ops.convert_to_numpy(dense.kernel).astype("float32")
    expected = np.linalg.svd(kernel, compute_uv=False)
    x = np.ones((1, 4), "float32")
    np.testing.assert_allclose(jacobian(model, x).values, expected, rtol=0.02)
    monkeypatch.setattr(sys.modules[jacobian.__module__], "_EXACT", 3)
    found = jacobian(model, x, largest=2).values
    np.testing.assert_allclose(found, expected[:2], rtol=0.02)
