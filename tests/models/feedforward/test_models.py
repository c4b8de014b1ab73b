"""The architectures: published sizes, keras.applications, bad arguments."""

import re

import keras
import numpy as np
import pytest

import keras_dlparts
from keras_dlparts import graphs
from keras_dlparts.models import MLP, KernelMachine, PlainNet, ResNet


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


@pytest.mark.parametrize(
    ("depth", "published"),
    [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)],
)
@pytest.mark.long
def test_published_sizes(depth, published):
    digits = 1 if published > 1 else 2
    assert round(trainable(ResNet(depth)) / 1e6, digits) == published


def test_plain_nets_have_the_same_layers_with_weights():
    assert trainable(PlainNet(20)) == trainable(ResNet(20))


def ordered_weights(block, kind):
    """A block's weights in the order of keras.applications: shortcut first."""
    residual = block.layers[0]
    layers = [*residual.shortcut_layers, *residual.body]
    return [w for x in layers if type(x).__name__ == kind for w in x.weights]


@pytest.mark.parametrize("input_shape", [(4, 4), None])
def test_a_kernel_machine_adapts_as_its_docstring_says(input_shape):
    x = np.random.default_rng(0).normal(size=(20, 4, 4)).astype("float32")
    advice = re.search(r"`model\.layers\[-2\]\.adapt\((.+)\)`", KernelMachine.__doc__)
    model = KernelMachine(20, outputs=3, input_shape=input_shape, seed=0)
    model.layers[-2].adapt(eval(advice[1], {"x": x}))
    assert np.isfinite(model.predict(x, verbose=0)).all()
    centers = keras.ops.convert_to_numpy(model.layers[-2].centers)
    np.testing.assert_allclose(np.sort(centers, 0), np.sort(x.reshape(20, 16), 0))


@pytest.mark.long
def test_resnet_50_is_that_of_keras():
    theirs = keras.applications.ResNet50(weights=None, classifier_activation=None)
    ours = ResNet(
        50,
        (224, 224, 3),
        1000,
        layout="imagenet",
        use_bias=True,
        epsilon=1.001e-5,
    )
    assert ours.count_params() == theirs.count_params() == 25_636_712
    random = np.random.default_rng(0)
    # In an order that both can be read in: by kind of layer, along the net.
    for kind in ("Conv2D", "BatchNormalization", "Dense"):
        mine = []
        for layer in ours.layers:
            if type(layer).__name__ == "ResidualBlock":
                mine += ordered_weights(layer, kind)
            elif type(layer).__name__ == kind:
                mine += layer.weights
        named = [x for x in theirs.layers if type(x).__name__ == kind]
        named.sort(key=lambda x: _place(x.name))
        given = [w for layer in named for w in layer.weights]
        for weight, source in zip(mine, given, strict=True):
            if kind == "BatchNormalization":
                source.assign(source + random.uniform(0, 0.2, source.shape))
            weight.assign(source.numpy())
    x = random.normal(size=(1, 224, 224, 3)).astype("float32")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(ours(x)),
        keras.ops.convert_to_numpy(theirs(x)),
        rtol=1e-3,
        atol=1e-4,
    )


def _place(name):
    """conv2_block1_0_conv -> [2, 1, 0]; conv1_conv first."""
    return [int(number) for number in re.findall(r"\d+", name)]


def test_names_of_orders_reach_the_blocks():
    model = ResNet(8, (8, 8, 1), order="full_preactivation", stochastic_depth=0.3)
    blocks = [x for x in model.layers if type(x).__name__ == "ResidualBlock"]
    rates = [block.stochastic_depth for block in blocks]
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3])
    assert [x.name for x in model.layers[-4:]] == [
        "end_norm",
        "end_activation",
        "mean",
        "logits",
    ]


def test_imagenet_layouts_in_one_dimension():
    model = ResNet(18, (64, 2), 3, layout="imagenet", filters=2)
    assert model.get_layer("stage1_block1").output.shape == (None, 16, 2)
    assert model.get_layer("stage4_block2").output.shape == (None, 2, 16)
    layers = graphs.layers(model)
    projections = [x for x in layers if type(x).__name__ == "Residual"]
    assert sum(len(x.shortcut_layers) == 2 for x in projections) == 3
    assert ResNet(34, (64, 2), layout="imagenet", filters=2).count_params() > 0


def test_depths_that_are_none():
    for depth in (2, 19, 18):
        with pytest.raises(ValueError, match=r"6n \+ 2"):
            ResNet(depth)
    with pytest.raises(ValueError, match=r"9n \+ 2"):
        ResNet(32, kind="bottleneck")
    with pytest.raises(ValueError, match="18 or 34"):
        ResNet(20, layout="imagenet")
    with pytest.raises(ValueError, match="one to three axes"):
        ResNet(20, input_shape=(32,))


def test_a_model_in_a_config_takes_the_shape_of_the_data():
    pytest.importorskip("sklearn")
    config = {
        "data": {"use": "digits", "batch_size": 8},
        "model": {"use": "MLP", "hidden": [8], "norm": "batch"},
        "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    }
    assert keras_dlparts.build(config).count_params() == 64 * 8 + 4 * 8 + 9 * 10


def test_mlp_against_numpy():
    model = MLP([5], outputs=2, activation="tanh", input_shape=(2, 3), dropout=0.5)
    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    w, b, v, c = (weight.numpy() for weight in model.weights)
    expected = np.tanh(x.reshape(4, 6) @ w + b) @ v + c
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5)
    late = MLP([5], outputs=2, norm="batch")
    assert late(x).shape == (4, 2)
    with pytest.raises(ValueError, match="`norm` must be"):
        MLP(norm="group")
