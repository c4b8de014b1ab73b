"""LSUV: variances of pre-activations, on any graph, and what is left alone."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from keras_dlparts.layers import LayerNormLSTM, Residual
from keras_dlparts.surgery import lsuv
from keras_dlparts.watched import watched_pass


def data(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def variances(model, x):
    """{name: the variances of the pre-activations of the layer's calls}."""
    _, calls, _ = watched_pass(model, lambda: model(x, training=True))
    found = {}
    for call in calls:
        u = call.pre if call.pre is not None else call.output
        u = ops.convert_to_numpy(u).astype("float64")
        found.setdefault(call.layer.name, []).append(u)
    return {name: np.var(u) for name, u in found.items()}


@pytest.fixture(scope="module")
def scaled():
    """A nested, residual, shared net with a normalisation, and its data."""
    shared = kl.Dense(8, "tanh", kernel_initializer="random_normal", name="shared")
    inner = keras.Sequential([kl.Dense(8, "relu", name="inner")], name="nested")
    zero = kl.Dense(8, kernel_initializer="zeros", name="zero")
    x = keras.Input((5, 6))
    h = kl.Conv1D(8, 3, activation="relu", name="conv")(x)
    h = shared(shared(h))
    h = inner(h) + h
    h = Residual([kl.LayerNormalization(name="norm"), zero])(h)
    h = kl.GlobalAveragePooling1D()(h)
    h = kl.Dense(3, "softmax", bias_initializer="ones", name="last")(h)
    model, batch = keras.Model(x, h), data(64, 5, 6)
    before = {v.path: v.numpy() for v in model.variables}
    lsuv(model, batch)
    return model, batch, before


def test_every_pre_activation_has_variance_one(scaled):
    model, batch, _ = scaled
    found = variances(model, batch)
    for name in ("conv", "shared", "inner", "last"):
        assert found[name] == pytest.approx(1, abs=0.06), name


def test_the_rest_is_left_alone(scaled):
    model, _, before = scaled
    moved = {v.path for v in model.variables if (v.numpy() != before[v.path]).any()}
    assert {path.split("/")[-2] for path in moved} == {
        "conv",
        "shared",
        "inner",
        "last",
    }
    assert all(path.endswith("kernel") for path in moved)


@pytest.mark.long
def test_recurrent_layers_are_left_alone():
    lstm = LayerNormLSTM(4)
    model = keras.Sequential([keras.Input((3, 5)), lstm, kl.Dense(3, name="last")])
    before = lstm.get_weights()
    batch = data(32, 3, 5)
    lsuv(model, batch)
    for old, new in zip(before, lstm.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert variances(model, batch)["last"] == pytest.approx(1, abs=0.06)


def test_without_drawing_anew_only_sizes_change():
    dense = kl.Dense(4, "relu")
    model = keras.Sequential([keras.Input((3,)), dense])
    before = ops.convert_to_numpy(dense.kernel) + 0
    lsuv(model, (data(50, 3), np.zeros(50)), orthogonal=False)
    ratio = ops.convert_to_numpy(dense.kernel) / before
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-4)
    assert ratio[0, 0] != pytest.approx(1, abs=1e-3)


def test_what_cannot_be_reached_is_told():
    biases = kl.Dense(4, bias_initializer=keras.initializers.RandomNormal(stddev=9.0))
    model = keras.Sequential([keras.Input((3,)), biases])
    with pytest.warns(UserWarning, match="not 1 in dense"):
        lsuv(model, data(50, 3))
    with pytest.raises(ValueError, match="kernel to scale"):
        lsuv(keras.Sequential([keras.Input((3,)), kl.ReLU()]), data(5, 3))


def test_the_inputs_of_a_model_may_be_a_list():
    a, b = keras.Input((6,)), keras.Input((6,))
    h = kl.Dense(5, name="first")(kl.Concatenate()([a, b]))
    model = keras.Model([a, b], kl.Dense(3, name="second")(h))
    batch = [data(64, 6), 3 * data(64, 6)]
    lsuv(model, (batch, np.zeros(64)))
    found = variances(model, batch)
    for name in ("first", "second"):
        assert found[name] == pytest.approx(1, abs=0.06), name


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_half_precision(policy):
    keras.utils.set_random_seed(0)
    dense = [kl.Dense(8, "tanh", name=f"dense{i}", dtype=policy) for i in range(2)]
    model, batch = keras.Sequential([keras.Input((6,)), *dense]), data(64, 6)
    lsuv(model, batch)
    assert list(variances(model, batch).values()) == pytest.approx([1, 1], abs=0.07)
