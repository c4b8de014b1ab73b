"""Layers that learn from the data before training: wherever they are, and once."""

import keras
import numpy as np
import pytest

from keras_dlparts import train
from keras_dlparts.config import load
from keras_dlparts.config.adaptation import adapt
from keras_dlparts.config.assemble import assemble
from keras_dlparts.data import Batches
from keras_dlparts.layers import MinMaxNormalization, Residual

X = np.random.default_rng(0).normal(3.0, 2.0, (50, 4)).astype("float32")
CONFIG = {
    "data": {"use": "spirals", "samples": 60, "batch_size": 16},
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": 1},
}
HEAD = {"use": "Dense", "units": 3}


def mean_of(layer):
    return np.ravel(keras.ops.convert_to_numpy(layer.mean))


class Own(keras.Model):
    """A model of a class of its own, its layers in an attribute."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.end = inner, keras.layers.Dense(1)

    def call(self, x):
        return self.end(self.inner(x))


def model_of(layer):
    return keras.Sequential([keras.Input((4,)), keras.layers.Rescaling(2.0), layer])


@pytest.mark.parametrize(
    "around",
    [
        lambda layer: layer,
        lambda layer: Residual([layer]),
        lambda layer: keras.Sequential([keras.Sequential([layer])]),
        Own,
    ],
    ids=["alone", "residual", "nested", "own class"],
)
def test_a_layer_learns_wherever_it_is(around):
    layer = keras.layers.Normalization()
    model = model_of(around(layer))
    batches = Batches(X, batch_size=16, shuffle=True)
    adapt(model, batches)
    np.testing.assert_allclose(mean_of(layer), 2 * X.mean(0), rtol=1e-5)
    assert batches.shuffle


def test_a_layer_that_is_called_for_each_time_learns_from_all_of_them():
    layer = keras.layers.Normalization()
    inputs = keras.Input((5, 2))
    model = keras.Model(inputs, keras.layers.TimeDistributed(layer)(inputs))
    x = np.arange(60, dtype="float32").reshape(6, 5, 2)
    adapt(model, Batches(x, batch_size=4))
    np.testing.assert_allclose(mean_of(layer), x.mean((0, 1)), rtol=1e-6)


def test_each_learns_after_those_before_it():
    first, second = keras.layers.Discretization(num_bins=3), MinMaxNormalization()
    adapt(model_of(keras.Sequential([first, second])), Batches(X))
    assert len(first.bin_boundaries) == 2
    np.testing.assert_array_equal(np.ravel(second.minimum), [0, 0, 0, 0])
    np.testing.assert_array_equal(np.ravel(second.maximum), [2, 2, 2, 2])


def test_mixed_precision_rounds_nothing_that_is_learnt():
    layer = keras.layers.Normalization(dtype="mixed_bfloat16")
    x = np.full((8, 4), 1001.0, "float32")  # 1000 in bfloat16
    adapt(model_of(layer), Batches(x))
    np.testing.assert_array_equal(np.ravel(layer.adapt_mean.numpy()), [2002.0] * 4)
    assert layer.autocast


@pytest.mark.parametrize(
    ("part", "attribute"),
    [
        ({"use": "Normalization", "mean": [5.0, 5.0], "variance": [1.0, 1.0]}, "mean"),
        ({"use": "Discretization", "bin_boundaries": [0.0, 1.0]}, "bin_boundaries"),
    ],
)
def test_what_is_given_is_kept_and_trains(part, attribute, tmp_path):
    config = {**CONFIG, "model": [part, HEAD]}
    layer = assemble(load(config)).model.layers[1]
    given = np.ravel(getattr(layer, attribute))
    np.testing.assert_array_equal(given, part[attribute])
    assert train(config, out=tmp_path).status["state"] == "done"


def test_a_given_vocabulary_is_kept():
    layer = keras.layers.IntegerLookup(vocabulary=[7, 8])
    model = keras.Sequential([keras.Input((1,), dtype="int64"), layer])
    adapt(model, Batches(np.array([[7], [9]])))
    assert layer.get_vocabulary() == [-1, 7, 8]


LEARNING = {
    "bins": [{"use": "Discretization", "num_bins": 4}, HEAD],
    "bins in a block": [
        {"use": "Residual", "body": [{"use": "Discretization", "num_bins": 4}]},
        HEAD,
    ],
    # Spirals reach beyond [0, 1], where the machine takes no values.
    "scaled for a machine": [
        {"use": "MinMaxNormalization"},
        {"use": "RBM", "units": 3},
    ],
}


@pytest.mark.long
@pytest.mark.parametrize("name", LEARNING)
def test_a_config_is_tried_on_the_data_once_its_layers_have_learnt(name, tmp_path):
    config = {**CONFIG, "model": LEARNING[name]}
    if name == "scaled for a machine":
        del config["loss"]
    run = train(config, out=tmp_path)
    assert np.isfinite(run.history["loss"]).all()
    again = keras.ops.convert_to_numpy(run.model(np.zeros((1, 2), "float32")))
    assert np.isfinite(again).all()


def test_what_cannot_be_learnt_is_an_error_with_its_place(tmp_path):
    x = np.array([[1.0], [np.nan], [2.0]] * 4, "float32")
    np.savez(tmp_path / "a.npz", x=x, y=x)
    data = {"use": "npz", "path": str(tmp_path / "a.npz"), "validation_split": 0.0}
    config = {"data": data, "model": ["MinMaxNormalization", HEAD], "loss": "mse"}
    with pytest.raises(ValueError, match=r"^model\n  does not fit the data: .* finite"):
        assemble(load(config))


def test_an_rbm_adapts_if_it_is_asked_to():
    values = {
        "data": {"use": "digits", "binarize": "anew"},
        "model": [{"use": "RBM", "units": 3, "data_init": True}],
        "optimizer": "SGD",
    }
    made = assemble(load(values))
    p = made.data.train.still().arrays()[0].mean(0, dtype="float64").clip(0.5 / 1350)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(made.model.layers[-1].visible_bias),
        np.log(p / (1 - p)),
        rtol=1e-4,
    )
