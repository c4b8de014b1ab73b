"""ResidualBlock and ResidualDenseBlock: the layers of each order, against numpy."""

import keras
import numpy as np
import pytest

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.layers import Residual, ResidualBlock, ResidualDenseBlock
from keras_dlparts.layers.residual import sharing
from keras_dlparts.layers.residual.sharing import likeness, shared_as

WORDS = {
    "Dense": "W",
    "Conv1D": "W",
    "Conv2D": "W",
    "Conv3D": "W",
    "BatchNormalization": "BN",
    "Activation": "relu",
    "Dropout": "drop",
}


def spelled(layers):
    return " ".join(
        f"[{spelled(layer.body)} | {layer.shortcut}]"
        if isinstance(layer, Residual)
        else WORDS[type(layer).__name__]
        for layer in layers
    )


@pytest.mark.parametrize(
    ("order", "same", "other"),
    [
        (
            "original",
            "[W BN relu W BN | identity] relu",
            "[W BN relu W BN | W BN] relu",
        ),
        (
            "bn_after_add",
            "[W BN relu W | identity] BN relu",
            "[W BN relu W | W] BN relu",
        ),
        (
            "relu_before_add",
            "[W BN relu W BN relu | identity]",
            "[W BN relu W BN relu | W BN]",
        ),
        (
            "relu_only",
            "[relu W BN relu W BN | identity]",
            "relu [W BN relu W BN | W BN]",
        ),
        (
            "full_preactivation",
            "[BN relu W BN relu W | identity]",
            "BN relu [W BN relu W | W]",
        ),
    ],
)
def test_orders_of_the_paper(order, same, other):
    for make, shape in ((ResidualBlock, (1, 4, 4, 3)), (ResidualDenseBlock, (1, 3))):
        for width, expected in ((3, same), (5, other)):
            block = make(width, order=order)
            block.build(shape)
            residual = next(x for x in block.layers if isinstance(x, Residual))
            told = spelled(block.layers).replace(
                "layers]", f"{spelled(residual.shortcut_layers)}]"
            )
            assert told == expected


def test_bottleneck_strides_first_and_widens_last():
    block = ResidualBlock(2, kind="bottleneck", strides=2)
    block.build((1, 8, 8, 3))
    convs = [x for x in block.layers[0].body if type(x).__name__ == "Conv2D"]
    assert [(c.filters, c.kernel_size[0], c.strides[0]) for c in convs] == [
        (2, 1, 2),
        (2, 3, 1),
        (8, 1, 1),
    ]


def test_dense_block_against_numpy():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    block = ResidualDenseBlock(3, width=4, norm=None, order="full_preactivation")
    y = keras.ops.convert_to_numpy(block(x))
    w, b, v, c = (weight.numpy() for weight in block.weights)
    expected = x + np.maximum(np.maximum(x, 0) @ w + b, 0) @ v + c
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 6, 2), (1, 6, 4, 2), (1, 4, 6, 4, 2)])
def test_one_two_and_three_dimensions(shape):
    for resize in ("pad", "projection"):
        y = ResidualBlock(4, strides=2, resize=resize)(np.ones(shape, "float32"))
        assert tuple(y.shape) == (1, *(n // 2 for n in shape[1:-1]), 4)


@pytest.mark.long
def test_remat_changes_nothing_but_memory():
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32")
    y = np.ones((4, 6, 6, 3), "float32")
    weights = []
    for remat in (False, True):
        keras.utils.set_random_seed(0)
        block = ResidualBlock(3, remat=remat, stochastic_depth=0.5, seed=1)
        model = keras.Sequential([keras.Input((6, 6, 3)), block])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(x, y, epochs=3, verbose=0)
        weights.append([v.numpy() for v in model.variables])
    for plain, remat in zip(*weights, strict=True):
        np.testing.assert_allclose(plain, remat, rtol=1e-5, atol=1e-6)


def test_remat_does_not_round_frozen_weights():
    block = ResidualBlock(3, remat=True, dtype="mixed_float16")
    model = keras.Sequential([keras.Input((6, 6, 3)), block])
    frozen = block.layers[0].body[0]
    frozen.trainable = False
    before = keras.ops.convert_to_numpy(frozen.kernel.value)
    model.compile("sgd", "mse", jit_compile=False)
    x = np.ones((2, 6, 6, 3), "float32")
    model.train_on_batch(x, x)
    after = keras.ops.convert_to_numpy(frozen.kernel.value)
    np.testing.assert_array_equal(after, before)


def test_bad_arguments():
    with pytest.raises(ValueError, match="`kind` must be one of"):
        ResidualBlock(4, kind="basis")
    with pytest.raises(ValueError, match="`order` must be one of"):
        ResidualBlock(4, order="preactivation")
    with pytest.raises(ValueError, match="`filters` must be at least 1"):
        ResidualBlock(0)
    with pytest.raises(TypeError, match="`strides` must be an integer"):
        ResidualBlock(4, strides=2.0)
    with pytest.raises(ValueError, match="ResidualDenseBlock takes vectors"):
        ResidualBlock(4)(np.ones((2, 3)))
    with pytest.raises(ValueError, match="`units` must be at least 1"):
        ResidualDenseBlock(0)
    with pytest.raises(ValueError, match="`norm` must be one of"):
        ResidualDenseBlock(3, norm="group")
    with pytest.raises(TypeError, match="`kernel_size` must be an integer"):
        ResidualBlock(4, kernel_size="3")
    for name in ("momentum", "epsilon"):
        with pytest.raises(ValueError, match=f"`{name}` must be a finite number"):
            ResidualBlock(4, **{name: -1})
    for name in ("use_bias", "zero_init", "remat"):
        with pytest.raises(TypeError, match=f"`{name}` must be True or False"):
            ResidualBlock(4, **{name: "no"})
    for block in (ResidualBlock, ResidualDenseBlock):
        with pytest.raises(ValueError, match="0 <= stochastic_depth < 1"):
            block(4, stochastic_depth=1.0)
    with pytest.raises(ValueError, match="0 <= dropout < 1"):
        ResidualDenseBlock(4, dropout=1.0)
    with pytest.raises(TypeError, match="`zero_init` must be True or False"):
        ResidualDenseBlock(4, zero_init="no")


ONLY_TENSORFLOW = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only TensorFlow builds graphs"
)


def _after_training(monkeypatch, many, compiled=None, **arguments):
    """(variables, how often inner layers ran) of blocks alike, and one with a frozen
    layer."""
    monkeypatch.setattr(sharing, "MANY", many)
    keras.utils.set_random_seed(0)
    blocks = [ResidualDenseBlock(3, seed=n, **arguments) for n in range(4)]
    model = keras.Sequential([keras.Input((3,)), *blocks])
    blocks[-1].layers[0].body[0].trainable = False
    model.compile(keras.optimizers.SGD(0.1), "mse", **(compiled or {}))
    ran = []
    relu = keras.layers.Activation.call
    monkeypatch.setattr(
        keras.layers.Activation,
        "call",
        lambda self, x: ran.append(self) or relu(self, x),
    )
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    for _ in range(3):
        model.train_on_batch(x, np.ones_like(x))
    monkeypatch.undo()
    return [v.numpy() for v in model.variables], len(ran)


def _shared_and_alone_agree(monkeypatch, tolerance=1e-5, **arguments):
    alone, often = _after_training(monkeypatch, 50, **arguments)
    together, seldom = _after_training(monkeypatch, 3, **arguments)
    assert often == 2 * seldom > 0  # of four blocks three are alike, and run once
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@ONLY_TENSORFLOW
@pytest.mark.long
def test_blocks_alike_are_traced_once_and_train_to_the_same_weights(monkeypatch):
    _shared_and_alone_agree(monkeypatch, stochastic_depth=0.5)


@ONLY_TENSORFLOW
@pytest.mark.long
def test_blocks_share_in_mixed_precision_and_compiled(monkeypatch, compiling):
    # In half precision the orders of sums show.
    _shared_and_alone_agree(monkeypatch, 1e-2, dtype="mixed_float16")
    _shared_and_alone_agree(monkeypatch, compiled={"jit_compile": True})


@ONLY_TENSORFLOW
def test_blocks_stay_alone_where_a_function_would_miss_something(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(sharing, "MANY", 1)
    block = ResidualDenseBlock(3)
    block.build((None, 3))
    found = {}

    class Net(keras.Model):
        def call(self, x, training=None):
            found["now"] = shared_as(block, x)
            return x

    net = Net()
    net.supports_masking = True
    net.block = block
    x = np.ones((2, 3), "float32")

    def key(mask=False):
        def call(x):
            if mask:
                keras_private.set_mask(x, x[:, 0] > 0)
            return net(x)

        tf.function(call, autograph=False).get_concrete_function(tf.TensorSpec((2, 3)))
        return found["now"]

    assert key() == likeness(block)
    assert key(mask=True) is None
    with backend.intercepted([block.layers[0]], lambda layer, call: call):
        assert key() is None
    with keras.StatelessScope():
        assert key() is None
    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        assert key() is None
    monkeypatch.setattr(sharing, "MANY", 2)
    assert key() is None
    monkeypatch.setattr(sharing, "MANY", 1)
    net(x)
    assert found["now"] is None  # no graph is built
    by_hand = tf.function(lambda x: block.call(x, training=True), autograph=False)
    by_hand.get_concrete_function(tf.TensorSpec((2, 3)))  # within no call of a layer
    block.layers[0].body[0].quantize("int8")
    assert key() is None


def test_blocks_alike_compute_the_same():
    def built(trainable=True, **arguments):
        block = ResidualBlock(3, **arguments)
        block.build((None, 6, 6, 3))
        block.layers[0].body[1].trainable = trainable
        return block

    first = likeness(built(seed=1))
    assert first == likeness(built(seed=2))
    for other in (
        built(trainable=False),  # its batch normalisation computes as in inference
        built(stochastic_depth=0.5),
        built(activation="tanh"),
        built(epsilon=1e-4),
        built(shortcut="scale"),
        built(residual={"shortcut_scale": 0.5}),
        built(dtype="mixed_float16"),
    ):
        assert likeness(other) != first
    watched = built()
    with backend.intercepted([watched.layers[0]], lambda layer, call: call):
        assert likeness(watched) is None
    assert likeness(watched) == first

    class Own(ResidualBlock):  # what it computes may hang on anything
        pass

    assert likeness(Own(3)) is None
