"""fold and recalibrate, against the formulas."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import keras_dlparts
from keras_dlparts import graphs
from keras_dlparts.layers import Residual, ResidualBlock, ResidualDenseBlock
from keras_dlparts.layers.residual.orders import ORDERS
from keras_dlparts.models import ResNet
from keras_dlparts.support import progress

RANDOM = np.random.default_rng(0)


def shaken(model):
    """The model with other weights than it begins with; variances stay positive."""
    for variable in model.weights:
        if "float" in variable.dtype:
            variable.assign(variable + RANDOM.uniform(0.05, 0.6, variable.shape))
    return model


def norms(model):
    return [
        layer
        for layer in graphs.layers(model)
        if isinstance(layer, kl.BatchNormalization)
    ]


def check(model, left):
    x = RANDOM.normal(size=(4, *model.input_shape[1:])).astype("float32")
    before = model.predict(x, verbose=0)
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "news", lambda verbose: said.append)
        folded = keras_dlparts.fold(shaken(model))
    ours, theirs = model.predict(x, verbose=0), folded.predict(x, verbose=0)
    assert not np.allclose(before, ours)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)
    assert len(norms(folded)) == left == len(said)
    assert len(norms(model)) > left
    return folded, said


LINEAR = [
    (kl.Dense(5), (4,)),
    (kl.Dense(5, use_bias=False), (3, 4)),
    (kl.Conv1D(4, 3, groups=2), (6, 4)),
    (kl.Conv2D(3, 3, strides=2, use_bias=False), (6, 6, 2)),
    (kl.Conv3D(3, 2), (3, 3, 3, 2)),
    (kl.DepthwiseConv1D(2, depth_multiplier=3), (5, 2)),
    (kl.DepthwiseConv2D(2, depth_multiplier=2), (4, 4, 3)),
    (kl.SeparableConv2D(4, 2), (4, 4, 3)),
    (kl.Conv2DTranspose(4, 3), (4, 4, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), LINEAR, ids=lambda x: str(x)[:30])
def test_every_linear_layer_is_folded(layer, shape):
    layer = type(layer).from_config(layer.get_config())
    model = keras.Sequential([keras.Input(shape), layer, kl.BatchNormalization()])
    check(model, left=0)


def test_what_cannot_be_folded_is_left_and_said():
    x = inputs = keras.Input((6,))
    x = shared = kl.Dense(4, name="shared")(x)
    x = kl.BatchNormalization(name="a")(x)
    x = kl.Add()([x, shared])
    x = kl.Dense(4, "relu")(x)
    x = kl.BatchNormalization(name="b")(x)
    x = kl.BatchNormalization(scale=False, name="c")(x)
    x = kl.Dense(4)(x)
    x = kl.BatchNormalization(center=False, name="d")(x)
    _, said = check(keras.Model(inputs, x), left=3)
    assert "'a' is left: what comes before it is used elsewhere too" in said
    assert "'b' is left: the Dense before it has an activation" in said
    assert "'c' is left: it comes after a BatchNormalization" in said


def test_two_uses_of_one_layer_are_left(said):
    inputs = keras.Input((4,))
    dense, norm = kl.Dense(4), kl.BatchNormalization()
    once = norm(dense(inputs))
    model = keras.Model(inputs, [once, kl.BatchNormalization()(dense(once))])
    folded = keras_dlparts.fold(shaken(model))
    assert len(said) == 2
    x = np.ones((2, 4), "float32")
    pairs = zip(model.predict(x, verbose=0), folded.predict(x, verbose=0), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(theirs, ours, rtol=1e-4)


def test_models_inside_models_are_folded():
    inner = keras.Sequential([kl.Conv2D(3, 3), kl.BatchNormalization(), kl.ReLU()])
    x = inputs = keras.Input((8, 8, 2))
    x = inner(x)
    seen = keras.Input(x.shape[1:])
    x = keras.Model(seen, kl.BatchNormalization()(kl.Conv2D(2, 1)(seen)))(x)
    check(keras.Model(inputs, x), left=0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shortcut", ["identity", "gate", "projection", "scale"])
def test_residual_blocks_are_folded(order, shortcut):
    left = {"bn_after_add": 1, "full_preactivation": 1}.get(order, 0)
    block = ResidualBlock(
        3, order=order, shortcut=shortcut, residual={"learn_scale": 0.5}
    )
    check(keras.Sequential([keras.Input((4, 4, 3)), block]), left)


@pytest.mark.long
def test_folded_nets_are_saved_and_loaded(tmp_path):
    model = ResNet(8, (8, 8, 1), 3, filters=2)
    model.save(tmp_path / "model.keras")
    folded, _ = check(keras_dlparts.load_model(tmp_path / "model.keras"), left=0)
    folded.save(tmp_path / "folded.keras")
    x = np.ones((2, 8, 8, 1), "float32")
    loaded = keras_dlparts.load_model(tmp_path / "folded.keras")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), folded.predict(x, verbose=0), rtol=1e-5
    )


def test_dense_blocks_and_projections_of_residuals_are_folded():
    branch = Residual([kl.Dense(5), kl.BatchNormalization()], "projection")
    model = keras.Sequential([keras.Input((4,)), branch, ResidualDenseBlock(5)])
    check(model, left=0)


def test_fold_refuses_what_it_cannot_read():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match="Received: Own"):
        keras_dlparts.fold(Own())
    with pytest.raises(ValueError, match="call it on data first"):
        keras_dlparts.fold(keras.Sequential([kl.Dense(2)]))


def reference(batches, gammas):
    """Algorithm 2 for two norms in a row without beta, epsilon 0.001."""
    first, second = [], []
    for x in batches:
        m = len(x)
        first.append((x.mean(0), x.var(0) * m / (m - 1)))
        y = gammas[0] * (x - x.mean(0)) / np.sqrt(x.var(0) + 0.001)
        y = np.maximum(y, 0)
        second.append((y.mean(0), y.var(0) * m / (m - 1)))
    return np.mean(first, 0), np.mean(second, 0)


def test_recalibrate_is_algorithm_2():
    x = RANDOM.normal(2, 3, size=(12, 4)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kl.BatchNormalization(),
            kl.ReLU(),
            kl.GaussianNoise(1e-9, seed=1),  # has a seed and changes nothing
            kl.BatchNormalization(),
        ]
    )
    first, _, noise, second = model.layers
    first.gamma.assign([1.0, 2.0, 3.0, 4.0])
    seed = noise.seed_generator.state.numpy()
    expected = reference(np.split(x.astype("float64"), 3), np.array([[1, 2, 3, 4]]))
    assert keras_dlparts.recalibrate(model, x, batch_size=4) is model
    for layer, (mean, variance) in zip((first, second), expected, strict=True):
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-4)
    assert first.gamma.numpy().tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(noise.seed_generator.state.numpy(), seed)
    assert "call" not in vars(first)


def test_recalibrate_takes_batches_and_heeds_masks_and_frozen_layers():
    x = np.array([[[1.0], [3.0], [0.0]], [[5.0], [0.0], [0.0]]], "float32")
    x = np.concatenate([x, 2 * x], axis=-1)  # with one channel Keras itself fails
    frozen = kl.BatchNormalization(trainable=False)
    norm = kl.BatchNormalization()
    model = keras.Sequential([keras.Input((3, 2)), kl.Masking(), frozen, norm])
    keras_dlparts.recalibrate(model, [(x, None)])
    scale = 1 / np.sqrt(1.001)  # the frozen one's
    assert float(norm.moving_mean[0]) == pytest.approx(3 * scale)
    assert float(norm.moving_variance[0]) == pytest.approx(4 / 1.001)
    assert float(frozen.moving_mean[0]) == 0


def test_recalibrate_refuses():
    model = keras.Sequential([keras.Input((2,)), kl.BatchNormalization()])
    with pytest.raises(ValueError, match="two values a channel"):
        keras_dlparts.recalibrate(model, np.ones((3, 2)), batch_size=1)
    assert model.layers[0].moving_mean.numpy().tolist() == [0, 0]
    with pytest.raises(ValueError, match="`data` must hold a batch"):
        keras_dlparts.recalibrate(model, [])
    with pytest.raises(ValueError, match="without one"):
        keras_dlparts.recalibrate(keras.Sequential([kl.Dense(1)]), [])


def test_a_layer_twice_in_a_row_is_left():
    """Two norms cannot go into the weights that both uses of it share."""
    dense, norms = kl.Dense(4, name="twice"), [kl.BatchNormalization() for _ in "123"]
    layers = [dense, norms[0], dense, norms[1], kl.Dense(3), norms[2]]
    _, said = check(keras.Sequential([keras.Input((4,)), *layers]), left=2)
    assert all(line.endswith("is used more than once") for line in said)


def test_whole_numbers_stay_the_inputs_of_an_embedding():
    table = [kl.Embedding(5, 4), kl.Dense(3), kl.BatchNormalization()]
    model = keras.Sequential([keras.Input((2,), dtype="int32"), *table])
    folded = keras_dlparts.fold(shaken(model))
    assert folded.input_dtype == "int32"
    assert keras_dlparts.compact(model).input_dtype == "int32"
