"""fold, strip and compact on models whose expressions are operations, not layers."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import keras_dlparts
from keras_dlparts import graphs
from keras_dlparts.layers import BayesianSparsityDropout
from keras_dlparts.support import progress

RANDOM = np.random.default_rng(0)


def norms(model):
    layers = graphs.layers(model)
    return [one for one in layers if isinstance(one, kl.BatchNormalization)]


def shaken(model):
    """Statistics, gains and shifts as after a training, so that folding matters."""
    for norm in norms(model):
        for variable, low, high in [
            (norm.moving_mean, -0.1, 0.1),
            (norm.moving_variance, 0.5, 1.5),
            (norm.gamma, 0.8, 1.2) if norm.scale else (None, 0, 0),
            (norm.beta, -0.1, 0.1) if norm.center else (None, 0, 0),
        ]:
            if variable is not None:
                variable.assign(RANDOM.uniform(low, high, variable.shape))
    return model


def check(new, model, x, within=1e-5):
    ours, theirs = model.predict(x, verbose=0), new.predict(x, verbose=0)
    assert np.ptp(ours) > 0
    assert np.abs(ours - theirs).max() <= within * np.abs(ours).max()


def folded_and_told(model):
    """The folded model, and the lines about what is left."""
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "news", lambda verbose: said.append)
        return keras_dlparts.fold(model), said


def arithmetic():
    """Layers around operations of one and two tensors, with constants besides."""
    x = keras.Input((4,))
    a = kl.BatchNormalization(name="folded")(kl.Dense(4, name="first")(x))
    b = kl.BatchNormalization(name="left")(2.0 * a + x)
    c = ops.concatenate([b - a, ops.maximum(b, 0.1) / 3], axis=-1)
    return keras.Model(x, kl.Dense(2)(c[:, 1:]))


def test_folded_around_arithmetic(tmp_path):
    model = shaken(arithmetic())
    folded, said = folded_and_told(model)
    check(folded, model, RANDOM.normal(size=(5, 4)))
    assert said == ["'left' is left: it comes after a Add"]
    assert [norm.name for norm in norms(folded)] == ["left"]
    # Nothing of the old model is kept alive by the new one's operations.
    old = {id(node.operation) for node in graphs.nodes(model)}
    assert not old & {id(node.operation) for node in graphs.nodes(folded)}
    folded.save(tmp_path / "folded.keras")
    loaded = keras.saving.load_model(tmp_path / "folded.keras")
    check(loaded, model, RANDOM.normal(size=(5, 4)))


def test_stripped_and_compacted_around_arithmetic():
    """With a layer `Add` beside the operation of that name."""
    x = keras.Input((4,))
    a = BayesianSparsityDropout(kl.Dense(6, "relu"), seed=0)(x)
    a = kl.Dense(4)(kl.Dense(5, name="narrowed")(a))
    b = kl.Dense(4, name="kept")(x) + 1.0  # what an operation takes keeps its width
    model = keras.Model(x, kl.Dense(2)(kl.Add()([a, b]) + a))
    for name in ("narrowed", "kept"):
        layer = model.get_layer(name)
        layer.kernel.assign(layer.kernel.numpy() * ([1, 0, 1, 1, 1][: layer.units]))
    x = RANDOM.normal(size=(5, 4))
    check(keras_dlparts.strip(model), model, x)
    small = keras_dlparts.compact(model)
    check(small, model, x)
    assert (small.get_layer("narrowed").units, small.get_layer("kept").units) == (4, 4)


class Applied(keras.Operation):
    """A function as an operation. No config holds a function, so it has none."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def test_an_operation_without_a_config_is_shared():
    x = keras.Input((4,))
    applied = Applied(lambda x: x * 2)
    with pytest.raises(NotImplementedError):
        applied.get_config()
    y = applied(kl.BatchNormalization()(kl.Dense(4)(x)))
    model = shaken(keras.Model(x, y))
    folded = keras_dlparts.fold(model)
    check(folded, model, RANDOM.normal(size=(5, 4)))
    assert graphs.nodes(folded)[-1].operation is applied


# One of each family of `keras.applications`, the smallest; and its smallest image.
APPLICATIONS = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "NASNetMobile": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "VGG16": 32,
    "Xception": 71,
}
# Two kinds of block; the others are with the studies.
IN_CI = "MobileNetV3Small"
LEFT = {
    "DenseNet121": "after a Concatenate",
    "NASNetMobile": "after a Concatenate",
    "ResNet50V2": "after a Add",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.slow if name == IN_CI else pytest.mark.study
        )
        for name in APPLICATIONS
    ],
)
def test_applications_are_folded_and_compacted(name):
    size = APPLICATIONS[name]
    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, name)
    options = {"classes": 5, "classifier_activation": None}
    model = shaken(make(weights=None, input_shape=(size, size, 3), **options))
    x = RANDOM.uniform(size=(2, size, size, 3))
    folded, said = folded_and_told(model)
    check(folded, model, x)
    assert len(norms(folded)) == len(said) <= len(norms(model))
    if norms(model):
        assert len(said) < len(norms(model))
    if name in LEFT:
        assert any(LEFT[name] in line for line in said)
    check(keras_dlparts.compact(model), model, x)
