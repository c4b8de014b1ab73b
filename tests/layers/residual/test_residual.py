"""Residual: every row of the table against numpy, shapes, masks, configs, errors."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import keras_dlparts
from keras_dlparts.layers import Residual

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, lambda x, f, g: x + f),
        ({"shortcut": "scale", "shortcut_scale": 0.0}, lambda x, f, g: f),
        (
            {"shortcut": "scale", "shortcut_scale": 0.5, "branch_scale": 0.25},
            lambda x, f, g: 0.5 * x + 0.25 * f,
        ),
        ({"shortcut": "gate", "gate_bias": 1.0}, lambda x, f, g: (1 - g) * x + g * f),
        (
            {"shortcut": "gate", "gate_bias": 1.0, "gate_branch": False},
            lambda x, f, g: (1 - g) * x + f,
        ),
        ({"shortcut": "dropout"}, lambda x, f, g: x + f),
        ({"shortcut": "pad"}, lambda x, f, g: x + f),
        ({"shortcut": "none"}, lambda x, f, g: f),
        ({"learn_scale": 0.1}, lambda x, f, g: x + 0.1 * f),
        ({"shortcut": kl.Rescaling(3.0)}, lambda x, f, g: 3 * x + f),
    ],
)
def test_every_row_of_the_table(arguments, expected):
    body = kl.Dense(4, "tanh")
    layer = Residual(body, **arguments)
    y = numpy(layer(X))
    f, g = numpy(body(X)), None
    if layer.gate is not None:
        kernel, bias = map(numpy, layer.gate.weights)
        assert bias.tolist() == [1.0] * 4
        g = sigmoid(X @ kernel + bias)
    np.testing.assert_allclose(y, expected(X, f, g), rtol=1e-5, atol=1e-6)


def test_dropout_acts_on_the_shortcut_alone():
    layer = Residual(kl.Dense(4, kernel_initializer="zeros"), "dropout", dropout=0.5)
    y = numpy(layer(np.ones((50, 4), "float32"), training=True))
    assert set(np.unique(y)) == {0.0, 2.0}


def test_stochastic_depth_drops_the_branch_alone():
    body = kl.Dense(4, kernel_initializer="zeros", bias_initializer="ones")
    layer = Residual(body, stochastic_depth=0.5, seed=0)
    y = numpy(layer(np.ones((50, 4), "float32"), training=True))
    assert set(np.unique(y)) == {1.0, 3.0}


def test_projection_is_a_strided_linear_map():
    x = np.random.default_rng(1).normal(size=(2, 5, 4, 3)).astype("float32")
    body = kl.Conv2D(6, 3, strides=2, padding="same")
    layer = Residual(body, "projection")
    y = numpy(layer(x)) - numpy(body(x))
    kernel, bias = map(numpy, layer.shortcut_layers[0].weights)
    expected = x[:, ::2, ::2] @ kernel.reshape(3, 6) + bias
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_pad_strides_and_fills_with_zeros():
    x = np.random.default_rng(1).normal(size=(2, 5, 3)).astype("float32")
    body = kl.Conv1D(5, 3, strides=2, padding="same", kernel_initializer="zeros")
    y = numpy(Residual(body, "pad")(x))
    np.testing.assert_array_equal(y[..., :3], x[:, ::2])
    np.testing.assert_array_equal(y[..., 3:], 0)


@pytest.mark.parametrize("shortcut", ["projection", "pad"])
def test_a_stride_is_known_where_the_size_of_images_is_not(shortcut):
    body = kl.Conv2D(4, 3, strides=2, padding="same", kernel_initializer="zeros")
    layer = Residual(body, shortcut)
    model = keras.Sequential([keras.Input((None, None, 2)), layer])
    for size in ((8, 8), (12, 10), (2, 1)):
        x = np.random.default_rng(1).normal(size=(2, *size, 2)).astype("float32")
        y = x[:, ::2, ::2] @ np.eye(2, 4)
        if shortcut == "projection":
            y = x[:, ::2, ::2] @ numpy(layer.shortcut_layers[0].kernel)[0, 0]
        found = model.predict(x, verbose=0)
        np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="agree in shape"):
        Residual(kl.Conv1D(3, 3), shortcut)(keras.Input((None, 3)))


def test_zero_init_starts_from_the_shortcut():
    for body in (
        [kl.Dense(5, "relu"), kl.Dense(4)],
        [kl.Dense(4), kl.BatchNormalization()],
        [kl.Dense(4), kl.BatchNormalization(scale=False), kl.Dense(4), kl.ReLU()],
    ):
        y = Residual(body, zero_init=True)(X, training=True)
        np.testing.assert_array_equal(numpy(y), X)
    with pytest.raises(ValueError, match="zero_init=True` needs a layer"):
        Residual(kl.ReLU(), zero_init=True)


def test_shapes_that_do_not_match_are_told_with_a_remedy():
    told = r"shape \(3, 4\) and a body of shape \(3, 5\).*\"projection\" or .*\"pad\""
    with pytest.raises(ValueError, match=told):
        Residual(kl.Dense(5))(X)
    with pytest.raises(ValueError, match='use shortcut="projection"\\.'):
        Residual(kl.Dense(3), "gate")(X)
    with pytest.raises(ValueError, match="let the body keep the shape"):
        Residual(kl.Dense(3), "pad")(X)
    with pytest.raises(ValueError, match=r"\(3, 4, 1\); let the body keep"):
        Residual(kl.Reshape((4, 1)))(X)
    x = np.ones((1, 32, 3))
    with pytest.raises(ValueError, match=r"\(1, 30, 3\); let the body"):
        Residual(kl.Conv1D(3, 3), "projection")(x)
    keras.Input((None, 3)) + Residual(kl.Conv1D(3, 3, padding="same"))(
        keras.Input((None, 3))
    )


def test_masks_reach_the_body_and_come_out():
    x = np.array([[[1.0], [2.0], [0.0]]], "float32")
    lstm = kl.LSTM(1, return_sequences=True)
    masked = kl.Masking()(x)
    y = Residual(lstm)(masked)
    np.testing.assert_allclose(numpy(y), numpy(lstm(masked)) + x, rtol=1e-6)
    assert not np.allclose(numpy(lstm(masked))[0, 2], numpy(lstm(x))[0, 2])


def test_written_in_a_config():
    config = {
        "model": [
            {"use": "Input", "shape": [4]},
            {
                "use": "Residual",
                "shortcut": "gate",
                "body": [{"use": "Dense", "units": 4}, "ReLU"],
            },
        ],
        "loss": "mse",
    }
    layer = keras_dlparts.build(config).layers[-1]
    assert [type(part).__name__ for part in layer.body] == ["Dense", "ReLU"]


@pytest.mark.usefixtures("channels_first")
def test_channels_first():
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has no such convolutions on a CPU")
    body = kl.Conv2D(5, 3, strides=2, padding="same")
    for shortcut in ("projection", "pad"):
        y = Residual(body, shortcut)(np.ones((2, 3, 8, 8), "float32"))
        assert tuple(y.shape) == (2, 5, 4, 4)


def test_bad_arguments():
    with pytest.raises(ValueError, match="one of 'identity'"):
        Residual(kl.Dense(4), "identiti")
    for body in ([], "Dense", [kl.Dense(4), 3], None):
        with pytest.raises(TypeError, match="a layer or a list of layers"):
            Residual(body)
    with pytest.raises(ValueError, match="0 <= rate < 1"):
        Residual(kl.Dense(4), stochastic_depth=1.0)
    with pytest.raises(ValueError, match="Without a shortcut"):
        Residual(kl.Dense(4), "none", stochastic_depth=0.5)
    for name in ("shortcut_scale", "branch_scale", "gate_bias", "learn_scale"):
        with pytest.raises(TypeError, match=f"`{name}` must be a finite number"):
            Residual(kl.Dense(4), **{name: "text"})
        with pytest.raises(ValueError, match=f"`{name}` must be a finite number"):
            Residual(kl.Dense(4), **{name: np.nan})
    for name in ("gate_branch", "zero_init"):
        with pytest.raises(TypeError, match=f"`{name}` must be True or False"):
            Residual(kl.Dense(4), **{name: "no"})
    with pytest.raises(ValueError, match="0 <= dropout < 1"):
        Residual(kl.Dense(4), dropout=1.0)


def test_a_recurrent_body_begins_as_zero():
    body = kl.LSTM(4, return_sequences=True)
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("float32")
    np.testing.assert_array_equal(numpy(Residual(body, zero_init=True)(x)), x)


def test_a_body_that_is_built_cannot_begin_as_zero():
    body = kl.Dense(4)
    body.build((None, 4))
    with pytest.raises(ValueError, match="`zero_init=True` needs a body that is not"):
        Residual(body, zero_init=True)


@pytest.mark.parametrize("size", [7, 8])
def test_a_projection_strides_where_the_size_is_not_known(size):
    body = kl.Conv2D(8, 3, strides=2, padding="same")
    model = keras.Sequential(
        [keras.Input((None, None, 4)), Residual(body, "projection")]
    )
    x = np.random.default_rng(1).normal(size=(2, size, size, 4)).astype("float32")
    assert model.predict(x, verbose=0).shape == (2, 4, 4, 8)
    with pytest.raises(ValueError, match="must agree in shape"):
        keras.Sequential(
            [keras.Input((None, None, 4)), Residual(kl.Conv2D(4, 3), "projection")]
        )
