"""strip and compact: the same outputs, without the wrappers and without dead units."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import keras_dlparts
from keras_dlparts import graphs
from keras_dlparts.layers import (
    BayesianSparsityDropout,
    Residual,
    WeightNormalization,
)

RANDOM = np.random.default_rng(0)


def wrap(layer):
    return BayesianSparsityDropout(layer, every=2, seed=0)


def wrappers(model):
    return [
        layer
        for layer in graphs.layers(model)
        if isinstance(layer, BayesianSparsityDropout)
    ]


def sparse(model, dead_units=True):
    """The model as after training: other weights, most of them shut down.

    The first unit of each kernel has no weights left but a bias that is not zero, and
    the second one's are small but not zero.
    """
    for variable in model.weights:
        if variable.name not in ("keep", "n", "window", "batches"):
            variable.assign(RANDOM.uniform(0.2, 0.9, variable.shape))
    for layer in wrappers(model):
        keep = np.where(RANDOM.random(layer.keep.shape) < 0.6, 0, 0.9)
        keep[..., 1] = 1e-3
        if dead_units:
            keep[..., 0] = 0
        layer.keep.assign(keep)
        layer.window.assign(3.0)
    return model


def outputs(model, shape=None):
    random = np.random.default_rng(1)
    x = random.normal(size=(4, *(shape or model.input_shape[1:]))).astype("float32")
    return ops.convert_to_numpy(model(x, training=False))


def stripped(model):
    new = keras_dlparts.strip(model)
    np.testing.assert_allclose(outputs(new), outputs(model), rtol=1e-6, atol=1e-6)
    assert wrappers(model)
    assert not wrappers(new)
    return new


def compacted(model):
    """Within 1e-5 of the largest output, and that is not 0."""
    new, ours = keras_dlparts.compact(model), outputs(model)
    assert np.ptp(ours) > 0
    worst = np.abs(outputs(new) - ours).max()
    assert worst <= 1e-5 * max(1, np.abs(ours).max())
    return new


def sequential():
    inner = wrap(kl.Dense(6, "tanh")), kl.BatchNormalization(), kl.ReLU()
    return keras.Sequential([keras.Input((5,)), *inner, wrap(kl.Dense(3))])


def functional():
    x = keras.Input((8, 8, 2))
    y = wrap(kl.Conv2D(5, 3, activation="sigmoid"))(x)
    y = kl.MaxPooling2D()(kl.BatchNormalization()(y))
    y = wrap(kl.Conv2D(4, 2, activation="relu", use_bias=False))(y)
    y = kl.Dropout(0.5)(kl.Flatten()(y))
    y = wrap(kl.Dense(7, "gelu"))(y)
    return keras.Model(x, wrap(kl.Dense(2, "softmax"))(y))


def summed():
    x = keras.Input((6,))
    y = wrap(kl.Dense(6, "relu"))(x)
    z = wrap(kl.Dense(9, "relu"))(y)
    z = wrap(kl.Dense(6, "relu"))(z)
    return keras.Model(x, wrap(kl.Dense(2))(kl.Add()([y, z])))


def nested():
    inside = keras.Sequential(
        [keras.Input((4,)), wrap(kl.Dense(8, "relu")), wrap(kl.Dense(3))]
    )
    x = keras.Input((5, 4))
    y = kl.TimeDistributed(kl.Dense(4))(x)
    y = kl.Flatten()(wrap(kl.Conv1D(4, 3, padding="same"))(y))
    y = Residual([wrap(kl.Dense(20)), kl.ReLU()])(y)
    return keras.Model(x, inside(wrap(kl.Dense(4))(y)))


MODELS = [sequential, functional, summed, nested]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (kl.SeparableConv1D(4, 2), (6, 3)),
        (kl.LSTM(3), (4, 2)),
        (kl.Conv2DTranspose(3, 2), (3, 3, 2)),
    ],
    ids=lambda x: str(x)[:12],
)
def test_weight_normalization_strips_to_the_layer_with_its_kernels(layer, shape):
    inner = Residual(WeightNormalization(layer, name="outer"), "none")
    model = keras.Sequential([keras.Input(shape), inner])
    for variable in model.weights:
        variable.assign(variable + 0.1)
    new = keras_dlparts.strip(model)
    np.testing.assert_allclose(outputs(new), outputs(model), rtol=1e-5, atol=1e-6)
    (plain,) = new.layers[0].body
    assert (type(plain), plain.name) == (type(layer), "outer")


@pytest.mark.parametrize("make", MODELS)
def test_stripped_it_is_plain_and_the_same(make):
    model = sparse(make())
    new = stripped(model)
    assert type(new) is type(model)
    zeros = sum(int((w.numpy() == 0).sum()) for w in new.weights)
    shut = [layer.counts() for layer in wrappers(model)]
    assert zeros == sum(size - left for left, size in shut)
    text = new.to_json()
    assert "keras_dlparts" not in text.replace(
        "keras_dlparts.layers.residual.residual", ""
    )


@pytest.mark.parametrize("make", MODELS)
def test_saved_and_loaded_it_is_stripped_and_compacted_alike(make, tmp_path):
    model = sparse(make())
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    loaded = keras_dlparts.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(outputs(stripped(loaded)), outputs(model), rtol=1e-6)
    small = compacted(loaded)
    small.save(tmp_path / "small.keras")
    again = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(outputs(again), outputs(small))


def test_compacted_chains_lose_their_constant_units():
    new = compacted(sparse(sequential()))
    assert new.layers[0].units < 6
    assert new.layers[1].gamma.shape == (new.layers[0].units,)
    small = compacted(sparse(functional()))
    convolutions = [one for one in small.layers if isinstance(one, kl.Conv2D)]
    assert [one.filters for one in convolutions] == [4, 3]
    # Its bias-free convolution gains the bias that the constant channel becomes.
    assert convolutions[1].use_bias


def test_a_sum_keeps_its_width():
    new = compacted(sparse(summed()))
    widths = [one.units for one in new.layers if isinstance(one, kl.Dense)]
    assert (widths[0], widths[2]) == (6, 6)
    assert widths[1] < 9


def test_nested_models_are_compacted_inside():
    new = compacted(sparse(nested()))
    inside = next(one for one in new.layers if isinstance(one, keras.Sequential))
    assert inside.layers[0].units < 8


def plain(*layers, shape=(6,)):
    return keras.Sequential([keras.Input(shape), *layers])


def with_kernels(model, *changes):
    """Random weights; `changes` are (index of a layer, index of what is zero)."""
    for variable in model.weights:
        variable.assign(RANDOM.uniform(0.2, 0.9, variable.shape))
    for layer, index in changes:
        value = model.layers[layer].kernel.numpy()
        value[index] = 0
        model.layers[layer].kernel.assign(value)
    return model


def test_a_unit_that_nobody_hears_leaves_others_unheard():
    """From the end to the start: 2 units of the last but one, then those before."""
    model = plain(kl.Dense(4, "relu"), kl.Dense(5, "relu"), kl.Dense(3))
    changes = [(2, np.s_[:2]), (1, np.s_[3, 2:])]
    new = compacted(with_kernels(model, *changes))
    assert [layer.units for layer in new.layers] == [3, 3, 3]


def test_a_dead_layer_keeps_one_unit():
    model = with_kernels(plain(kl.Dense(4), kl.Dense(3)), (0, np.s_[:]))
    new = keras_dlparts.compact(model)
    np.testing.assert_allclose(outputs(new), outputs(model), rtol=1e-6)
    assert [layer.units for layer in new.layers] == [1, 3]


@pytest.mark.parametrize(("padding", "filters"), [("valid", 2), ("same", 3)])
def test_constants_before_padding_stay(padding, filters):
    """A rim of zeros beside a constant is no constant; with a bias of 0 it is."""
    model = plain(kl.Conv2D(3, 2), kl.Conv2D(2, 3, padding=padding), shape=(5, 5, 1))
    new = compacted(with_kernels(model, (0, np.s_[..., 1])))
    assert new.layers[0].filters == filters
    model.layers[0].bias.assign([0.5, 0.0, 0.5])
    assert compacted(model).layers[0].filters == 2


@keras.saving.register_keras_serializable("tests")
class Gained(kl.Dense):
    """A Dense layer with one more weight."""

    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_weight(shape=(self.units,), name="gain")

    def call(self, inputs, training=None):
        return self.gain * super().call(inputs, training=training)


@pytest.mark.parametrize("kind", ["int8", "lora", "subclass"])
def test_layers_with_other_weights_are_copied_whole(kind):
    first = Gained(4) if kind == "subclass" else kl.Dense(4)
    model = plain(first, kl.Dense(5, "relu"), kl.Dense(3))
    with_kernels(model, (0, np.s_[:, 1]), (1, np.s_[:, 1]))
    if kind == "int8":
        first.quantize("int8")
    if kind == "lora":
        first.enable_lora(2)
        first.lora_kernel_b.assign(np.ones((2, 4)))
    new = compacted(model)
    assert [layer.units for layer in new.layers] == [4, 4, 3]
    assert len(new.layers[0].weights) == len(first.weights)


def test_dense_layers_along_time():
    model = plain(kl.Dense(4, "relu"), kl.Dense(2), shape=(3, 5))
    new = compacted(with_kernels(model, (0, np.s_[:, :2])))
    assert new.layers[0].units == 2


@pytest.mark.parametrize(
    "between",
    [
        kl.Softmax,
        kl.LayerNormalization,
        lambda: kl.Reshape((4,)),
        lambda: kl.Activation("softmax"),
    ],
)
def test_what_mixes_units_keeps_them(between):
    model = with_kernels(plain(kl.Dense(4), between(), kl.Dense(2)), (0, np.s_[:, 0]))
    assert compacted(model).layers[0].units == 4


def test_shared_layers_keep_their_width():
    x = keras.Input((4,))
    shared, last = kl.Dense(4, "relu"), kl.Dense(2)
    model = keras.Model(x, last(shared(shared(x))))
    model.layers[1].kernel.assign(np.eye(4) * [1, 0, 1, 1])
    assert compacted(model).layers[1].units == 4


@keras.saving.register_keras_serializable("tests")
class Held(keras.Model):
    """A subclassed model with its layers in its config."""

    def __init__(self, first, last, **kwargs):
        super().__init__(**kwargs)
        self.first, self.last = (
            keras.saving.deserialize_keras_object(one) if isinstance(one, dict) else one
            for one in (first, last)
        )

    def call(self, x):
        return self.last(self.first(x))

    def get_config(self):
        pair = {"first": self.first, "last": self.last}
        pair = {k: keras.saving.serialize_keras_object(v) for k, v in pair.items()}
        return {**super().get_config(), **pair}


class Coded(keras.Model):
    """A subclassed model that makes its layers in code."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.last = wrap(kl.Dense(2))

    def call(self, x):
        return self.last(x)


def test_a_subclassed_model_is_stripped_by_its_config():
    model = Held(wrap(kl.Dense(4, "relu")), wrap(kl.Dense(2)))
    model(np.ones((1, 3)))
    sparse(model)
    new = keras_dlparts.strip(model)
    assert isinstance(new.first, kl.Dense)
    np.testing.assert_allclose(
        outputs(new, (3,)), outputs(model, (3,)), rtol=1e-6, atol=1e-6
    )
    with pytest.raises(TypeError, match=r"Sequential or Functional.*Received: Held"):
        keras_dlparts.compact(model)


def test_a_subclassed_model_of_code_is_told_why_not():
    model = Coded()
    model(np.ones((1, 3)))
    with pytest.raises(TypeError, match=r"describe its layers in its config.*in code"):
        keras_dlparts.strip(model)


@pytest.mark.parametrize("function", [keras_dlparts.strip, keras_dlparts.compact])
def test_what_is_no_built_model(function):
    with pytest.raises(TypeError, match=r"must be a keras.Model. Received: Dense"):
        function(kl.Dense(1))
    with pytest.raises(ValueError, match=r"must be built.*call it on data first"):
        function(keras.Sequential([kl.Dense(1)]))


@pytest.mark.parametrize("function", [keras_dlparts.strip, keras_dlparts.compact])
def test_a_sequential_model_with_a_layer_twice_is_refused(function):
    shared = kl.Dense(4, name="shared")
    inner = keras.Sequential([keras.Input((4,)), shared, kl.ReLU(), shared])
    for model in (inner, keras.Sequential([keras.Input((4,)), inner])):
        with pytest.raises(ValueError, match=r"'shared'.*Functional model, which may"):
            function(model)
