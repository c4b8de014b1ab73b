"""deepen: deeper models with the same outputs, which train on."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import keras_dlparts
from keras_dlparts import deepen
from keras_dlparts.layers import Residual, ResidualBlock
from keras_dlparts.models import ResNet
from keras_dlparts.support import progress

RANDOM = np.random.default_rng(0)


def shaken(model):
    """The model with weights as after a training; variances stay positive."""
    for variable in model.weights:
        if "float" in variable.dtype:
            variable.assign(variable + RANDOM.uniform(0.05, 0.3, variable.shape))
    return model


def deepened(model, n=2, **options):
    """The deeper model, checked, and what was said about it."""
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "news", lambda verbose: said.append)
        new = deepen(shaken(model), n, **options)
    x = RANDOM.normal(size=(4, *model.input_shape[1:])).astype("float32")
    ours, theirs = (keras.ops.convert_to_numpy(m(x)) for m in (model, new))
    assert np.ptp(ours) > 0
    assert np.abs(ours - theirs).max() <= 1e-6 * max(1, np.abs(ours).max())
    assert new.count_params() > model.count_params()
    return new, said


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def test_dense_relu_layers_are_followed_by_identities(tmp_path):
    dense = [kl.Dense(5, "relu", name="a"), kl.Dense(6, name="b"), kl.ReLU(name="c")]
    model = keras.Sequential([keras.Input((4,)), *dense, kl.Dense(2, name="out")])
    new, said = deepened(model, 3)
    assert [layer.name for layer in new.layers] == [
        *("a", "a_deeper_1", "b", "c", "b_deeper_1", "b_deeper_1_activation"),
        *("b_deeper_2", "b_deeper_2_activation", "out"),
    ]
    assert all("identity after it" in line for line in said)
    assert np.trace(keras.ops.convert_to_numpy(new.get_layer("a_deeper_1").kernel)) == 5
    new.save(tmp_path / "deeper.keras")
    loaded = keras_dlparts.load_model(tmp_path / "deeper.keras")
    x = RANDOM.normal(size=(3, 4))
    np.testing.assert_array_equal(
        *(keras.ops.convert_to_numpy(m(x)) for m in (new, loaded))
    )
    new.compile("sgd", "mse")
    new.fit(x, np.ones((3, 2)), verbose=0)
    kernel = keras.ops.convert_to_numpy(new.get_layer("a_deeper_1").kernel)
    assert (kernel != np.eye(5)).any()


CONVOLUTIONS = [
    (kl.Conv1D(4, 3, activation="relu", groups=2), (8, 4)),
    (kl.Conv1D(4, 3, padding="causal", activation="relu", dilation_rate=2), (8, 3)),
    (kl.Conv1D(3, 2, padding="same", activation="relu", dilation_rate=2), (10, 3)),
    (kl.Conv2D(3, (3, 4), activation="relu", dilation_rate=(2, 3)), (8, 12, 2)),
    (kl.Conv2D(4, 4, strides=2, activation="relu6"), (8, 7, 2)),
    (kl.Conv2D(3, (3, 2), padding="same", activation="relu"), (5, 6, 2)),
    (kl.Conv3D(3, 2, activation="relu", use_bias=False), (3, 4, 3, 2)),
    (kl.Dense(5, "hard_tanh"), (3, 4)),
]


def test_convolutions_of_all_kinds_pass_their_input():
    for layer, shape in CONVOLUTIONS:
        layers = [keras.Input(shape), type(layer).from_config(layer.get_config())]
        new, _ = deepened(keras.Sequential([*layers, kl.Flatten(), kl.Dense(2)]))
        assert kinds(new).count(type(layer).__name__) >= 3


def test_a_batch_normalisation_is_an_identity_in_training_with_data():
    x = keras.Input((6, 6, 2))
    y = kl.BatchNormalization(scale=False)(kl.Conv2D(3, 3, use_bias=False)(x))
    y = kl.Conv2D(4, 3, activation="relu")(kl.Activation("relu")(y))
    model = keras.Model(x, kl.Dense(2)(kl.GlobalAveragePooling2D()(y)))
    without, _ = deepened(model, 2)
    x = RANDOM.normal(size=(64, 6, 6, 2)).astype("float32")
    # The statistics of inference are those of the one batch, so passes are the same.
    keras_dlparts.recalibrate(model, x, batch_size=64)
    off = []
    for data in (None, x):
        ours, theirs = (
            keras.ops.convert_to_numpy(m(x, training=True))
            for m in (model, deepen(model, 2, data=data, verbose=0))
        )
        off.append(np.abs(ours - theirs).max() / np.abs(ours).max())
    assert off[0] > 0.1
    assert off[1] < 1e-3
    assert sum(isinstance(one, kl.BatchNormalization) for one in without.layers) == 2


def test_tanh_gets_a_residual_block_and_says_so():
    layers = [kl.Dense(5, "tanh", name="a"), kl.Dense(2)]
    new, said = deepened(keras.Sequential([keras.Input((4,)), *layers]))
    assert kinds(new) == ["Dense", "Residual", "Residual", "Dense"]
    assert said == ["'a': 2 residual after it, as tanh of tanh is not tanh"]
    layers = [kl.Conv2D(3, 3), kl.BatchNormalization(), kl.LeakyReLU(), kl.Flatten()]
    model = keras.Sequential([keras.Input((5, 5, 1)), *layers, kl.Dense(2)])
    new, _ = deepened(model)
    assert kinds(new)[3:5] == ["Residual", "Residual"]
    new.compile("sgd", "mse")
    new.fit(np.ones((2, 5, 5, 1)), np.ones((2, 2)), verbose=0)
    last = new.layers[3].body[-1]
    assert keras.ops.convert_to_numpy(last.kernel).any()


def functional():
    x = keras.Input((6, 6, 2))
    y = kl.Conv2D(4, 3, padding="same", name="first")(x)
    z = kl.Conv2D(4, 3, padding="same", activation="relu")(y)
    y = kl.ReLU(name="end")(kl.Add(name="sum")([y, kl.Conv2D(4, 1)(z)]))
    y = y + kl.Conv2D(4, 3, padding="same")(y)
    return keras.Model(x, kl.Dense(2)(kl.GlobalAveragePooling2D()(2.0 * y)))


def test_residual_models_get_residual_blocks():
    new, said = deepened(functional())
    assert said[0].startswith("'end': ")
    assert kinds(new).count("Residual") == 2
    new, said = deepened(ResNet(8, (8, 8, 1), 3, filters=2), 3)
    assert len(said) == 3
    layers = [kl.Dense(4), Residual(kl.Dense(4, "relu"), name="r"), kl.Dense(1)]
    deepened(keras.Sequential([keras.Input((3,)), *layers]), 1)
    layers = [ResidualBlock(3, order="bn_after_add"), kl.Flatten(), kl.Dense(1)]
    deepened(keras.Sequential([keras.Input((4, 4, 3)), *layers]), 1)


def test_places_may_be_named():
    new, _ = deepened(functional(), 1, after="first", block="residual")
    assert "first_deeper_1" in [layer.name for layer in new.layers]


def test_what_cannot_be_deepened_is_named():
    class Own(keras.Model):
        def call(self, x):
            return x

    own = Own()
    own.build((None, 2))
    with pytest.raises(TypeError, match="Received: Own"):
        deepen(own)
    with pytest.raises(ValueError, match="call it on data first"):
        deepen(keras.Sequential([kl.Dense(2)]))
    twice = kl.Dense(3, "relu", name="twice")
    x = keras.Input((3,))
    out = kl.Dense(1, name="out")
    model = keras.Model(
        x, out(kl.LSTM(2, name="l")(kl.Reshape((1, 3))(twice(twice(x)))))
    )
    with pytest.raises(ValueError, match="'twice': it is used more than once") as told:
        deepen(model)
    assert "'l': it is a LSTM" in str(told.value)
    for name, why in (("out", "its output is the model's"), ("l", "it is a LSTM")):
        with pytest.raises(ValueError, match=f"Received: '{name}'; {why}"):
            deepen(model, after=name)
    tanh = keras.Sequential([x, kl.Dense(3, "tanh", name="t"), kl.Dense(1)])
    with pytest.raises(ValueError, match="behind 't': tanh of tanh is not tanh"):
        deepen(tanh, block="identity")
    with pytest.raises(ValueError, match="Received: 'zz'; there are 't'"):
        deepen(tanh, after=["zz"])
    with pytest.raises(ValueError, match="`n` must be at least 1"):
        deepen(tanh, 0)
    with pytest.raises(ValueError, match="`block` must be one of"):
        deepen(tanh, block="same")
