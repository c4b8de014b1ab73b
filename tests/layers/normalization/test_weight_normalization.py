"""WeightNormalization against its formula."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from keras_dlparts.layers import LayerNormLSTM, WeightNormalization

RANDOM = np.random.default_rng(0)
# A layer, an input shape, and the axes of the outputs in each kernel.
LAYERS = [
    (kl.Dense(3, "tanh"), (4, 5), [(1,)]),
    (kl.Dense(3, use_bias=False), (2, 4, 5), [(1,)]),
    (kl.EinsumDense("abc,cde->abde", (None, 2, 3)), (2, 4, 5), [(1, 2)]),
    (kl.Conv1D(4, 3, groups=2), (2, 6, 4), [(2,)]),
    (kl.Conv2D(3, 2), (2, 4, 4, 2), [(3,)]),
    (kl.Conv3D(3, 2), (1, 3, 3, 3, 2), [(4,)]),
    (kl.Conv2DTranspose(3, 2), (2, 3, 3, 2), [(2,)]),
    (kl.DepthwiseConv2D(2, depth_multiplier=2), (2, 4, 4, 3), [(2, 3)]),
    (kl.SeparableConv2D(4, 2), (2, 4, 4, 3), [(2, 3), (3,)]),
    (kl.SimpleRNN(3), (2, 4, 5), [(1,), (1,)]),
    (kl.GRU(3, return_sequences=True), (2, 4, 5), [(1,), (1,)]),
    (LayerNormLSTM(3), (2, 4, 5), [(1,), (1,)]),
    (kl.ConvLSTM1D(2, 2), (2, 3, 4, 2), [(2,), (2,)]),
]


def reference(v, g, axes):
    """w_u = g_u v_u / ||v_u||, output by output."""
    inner = tuple(axis for axis in range(v.ndim) if axis not in axes)
    moved = np.moveaxis(v, axes, range(len(axes)))
    w = np.empty_like(moved)
    for u in np.ndindex(*moved.shape[: len(axes)]):
        w[u] = g[u] * moved[u] / np.sqrt((moved[u] ** 2).sum())
    assert len(inner) + len(axes) == v.ndim
    return np.moveaxis(w, range(len(axes)), axes)


def copied(layer):
    return type(layer).from_config(layer.get_config())


@pytest.mark.parametrize(("layer", "shape", "axes"), LAYERS, ids=lambda x: str(x)[:24])
def test_it_is_the_layer_with_weights_by_the_formula(layer, shape, axes):
    plain, wrapped = copied(layer), WeightNormalization(copied(layer))
    x = RANDOM.normal(size=shape).astype("float32")
    wrapped(x), plain(x)
    plain.set_weights(wrapped.layer.get_weights())
    # At first it is the layer itself.
    np.testing.assert_allclose(
        ops.convert_to_numpy(wrapped(x)),
        ops.convert_to_numpy(plain(x)),
        rtol=1e-5,
        atol=1e-6,
    )
    holder = getattr(plain, "cell", plain)
    kernels = [w for w in holder.weights if w.name.endswith("kernel")]
    assert len(kernels) == len(wrapped.lengths) == len(axes)
    for kernel, g, outputs in zip(kernels, wrapped.lengths, axes, strict=True):
        g.assign(g + RANDOM.uniform(0.5, 1.5, g.shape))
        kernel.assign(reference(kernel.numpy(), g.numpy(), outputs))
    np.testing.assert_allclose(
        ops.convert_to_numpy(wrapped(x)),
        ops.convert_to_numpy(plain(x)),
        rtol=1e-5,
        atol=1e-5,
    )


def test_the_gradient_is_the_papers():
    """dL/dg = dL/dw v / ||v||;  dL/dv = g / ||v|| (dL/dw - dL/dg v / ||v||)."""
    layer = WeightNormalization(kl.Dense(1, use_bias=False))
    model = keras.Sequential([keras.Input((3,)), layer])
    v, g = np.array([[3.0], [0.0], [4.0]]), np.array([2.0])
    weights = {"kernel": v, "g_kernel": g}
    model.set_weights([weights[w.name] for w in model.weights])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    x = np.array([[1.0, 2.0, 3.0]])
    dw = 2 * (x @ (g * v / 5) - 1).item() * x.T  # of (x w - 1)^2
    dg = (dw * v / 5).sum()
    dv = g / 5 * (dw - dg * v / 5)
    model.fit(x, np.ones((1, 1)), verbose=0)
    after = {w.name: w.numpy() for w in model.weights}
    np.testing.assert_allclose(after["g_kernel"], g - dg, rtol=1e-5)
    np.testing.assert_allclose(after["kernel"], v - dv, rtol=1e-5)
    # dv stands at a right angle to v, so v only grows
    assert np.linalg.norm(after["kernel"]) > 5


def test_losses_of_the_wrapped_layer_count_once():
    dense = kl.Dense(2, activity_regularizer=keras.regularizers.L1(1.0))
    model = keras.Sequential([keras.Input((3,)), WeightNormalization(dense)])
    x = RANDOM.normal(size=(8, 3)).astype("float32")
    model.compile(keras.optimizers.SGD(0.0), "mse")
    y = model.predict(x, verbose=0)
    loss = model.evaluate(x, y, batch_size=8, verbose=0)
    assert loss == pytest.approx(abs(y).sum() / 8, rel=1e-4)
    assert model.fit(x, y, batch_size=8, verbose=0).history["loss"] == [
        pytest.approx(loss, rel=1e-4)
    ]


def test_seeds_inside_move_on():
    layer = WeightNormalization(kl.LSTM(8, dropout=0.5, seed=1))
    x = np.ones((2, 3, 4), "float32")
    a, b = (ops.convert_to_numpy(layer(x, training=True)) for _ in range(2))
    assert not np.array_equal(a, b)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (kl.Dense(3, "relu"), (500, 5)),
        (kl.Conv2D(4, 3, activation="relu"), (40, 6, 6, 2)),
        (kl.DepthwiseConv2D(3, depth_multiplier=2), (40, 6, 6, 2)),
        (kl.SeparableConv1D(4, 3), (60, 8, 2)),
        (kl.EinsumDense("ab,bcd->acd", (2, 3), bias_axes="cd"), (400, 5)),
        (kl.Dense(3, use_bias=False), (500, 5)),
    ],
    ids=lambda x: str(x)[:24],
)
def test_adapt_normalises_what_comes_before_the_activation(layer, shape):
    layer = WeightNormalization(copied(layer), data_init=True)
    x = RANDOM.normal(1, 3, shape).astype("float32")
    layer(x)
    if layer.layer.bias is not None:
        layer.layer.bias.assign(RANDOM.normal(size=layer.layer.bias.shape))
    activation = layer.layer.activation
    layer.adapt([x[:30], x[30:]])
    assert layer.layer.activation is activation
    layer.layer.activation = None
    y = ops.convert_to_numpy(layer(x)).reshape(-1, layer.lengths[-1].numpy().size)
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-3)
    if layer.layer.bias is not None:
        np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-3)


@pytest.mark.parametrize(
    ("equation", "output_shape", "bias_axes", "samples"),
    [
        ("abc,cde->abde", (None, 3, 4), "de", (0, 1)),
        ("abc,cde->abed", (None, 4, 3), "ed", (0, 1)),
        ("abc,cde->adbe", (3, None, 4), "de", (0, 2)),
        ("abc,cde->aebd", (4, None, 3), None, (0, 2)),
        ("abc,bcd->adb", (3, 6), "db", (0,)),
        ("...c,cde->...ed", (6, 4, 3), "ed", (0, 1)),
        ("ab...,bcd->adc...", (4, 3, 5), "dc", (0, 3)),
    ],
)
def test_adapt_finds_the_outputs_wherever_the_equation_puts_them(
    equation, output_shape, bias_axes, samples
):
    inner = kl.EinsumDense(equation, output_shape, bias_axes=bias_axes)
    layer = WeightNormalization(inner, data_init=True)
    x = RANDOM.normal(2, [1, 3, 5, 7, 9], (300, 6, 5)).astype("float32")
    layer(x)
    if bias_axes:
        inner.bias.assign(RANDOM.normal(size=inner.bias.shape))
    layer.adapt([x[:100], x[100:]])
    y = ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(y.std(axis=samples), 1, rtol=1e-3)
    if bias_axes:
        np.testing.assert_allclose(y.mean(axis=samples), 0, atol=1e-3)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (kl.Dense(2), (2, 3)),
        (kl.SeparableConv1D(4, 2), (2, 5, 3)),
        (kl.LSTM(3), (2, 4, 3)),
    ],
    ids=lambda x: str(x)[:16],
)
def test_the_wrapper_may_have_another_dtype_than_the_layer(layer, shape):
    plain = type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    wrapped = WeightNormalization(plain, dtype="bfloat16")
    x = RANDOM.normal(size=shape).astype("float32")
    y = wrapped(x)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    got, want = (ops.convert_to_numpy(ops.cast(a, "float32")) for a in (y, plain(x)))
    np.testing.assert_allclose(got, want, rtol=0.01, atol=1e-5)
    assert {g.dtype for g in wrapped.lengths} == {"float32"}
    # A file may hold lengths in another dtype.
    wrapped.set_weights([2.0 * w.astype("float64") for w in wrapped.get_weights()])
    assert {g.dtype for g in wrapped.lengths} == {"float32"}


def test_a_bias_of_other_axes_than_the_outputs_is_refused():
    """There are as many positions as outputs here."""
    inner = kl.EinsumDense("abc,cd->abd", (3, 3), bias_axes="b")
    layer = WeightNormalization(inner, data_init=True)
    with pytest.raises(ValueError, match=r"3 outputs and a bias of shape \(3, 1\)"):
        layer.adapt(np.ones((4, 3, 5)))


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_outputs_of_one_value_keep_their_lengths_and_bias(value):
    layer = WeightNormalization(kl.Dense(3, bias_initializer="ones"), data_init=True)
    layer.build((None, 4))
    before = [weight.numpy() for weight in layer.weights]
    with pytest.warns(UserWarning, match="Received: 3 of 3 outputs of 'dense"):
        layer.adapt(np.full((8, 4), value))
    for weight, old in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_the_other_outputs_are_normalised():
    kernel = np.array([[0.0, 2.0], [1.0, 0.0]])
    layer = WeightNormalization(kl.Dense(2), data_init=True)
    layer.build((None, 2))
    layer.layer.set_weights([kernel, np.zeros(2)])
    layer.lengths[0].assign([1.0, 2.0])
    x = np.array([[1.0, 5.0], [3.0, 5.0]])
    with pytest.warns(UserWarning, match="1 of 2 outputs"):
        layer.adapt(x)
    y = keras.ops.convert_to_numpy(layer(x.astype("float32")))
    np.testing.assert_allclose(y, [[5.0, -1.0], [5.0, 1.0]], rtol=1e-5)


def test_without_data_init_adapt_does_nothing():
    layer = WeightNormalization(kl.Dense(3))
    layer(np.ones((2, 4)))
    before = layer.get_weights()
    layer.adapt(RANDOM.normal(size=(9, 4)))
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_vector_of_zeros_stays_finite():
    dense = kl.Dense(2, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((3,)), WeightNormalization(dense)])
    model.compile("sgd", "mse")
    x = np.ones((4, 3), "float32")
    assert model.fit(x, np.ones((4, 2)), epochs=2, verbose=0).history["loss"][1] < 1
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_bad_arguments():
    for layer in (kl.ReLU(), kl.Embedding(3, 2), kl.Bidirectional(kl.LSTM(2))):
        with pytest.raises(
            ValueError, match=r"kernel of its own.*Received: a \w+; wrap"
        ):
            WeightNormalization(layer).build((None, 3, 4))
    with pytest.raises(ValueError, match=r"Wrapper"):
        WeightNormalization("Dense")
    with pytest.raises(TypeError, match=r"True or False. Received: data_init=1"):
        WeightNormalization(kl.Dense(1), data_init=1)
    with pytest.raises(ValueError, match=r"recurrent layer.*leave it False"):
        WeightNormalization(kl.LSTM(1), data_init=True)
    layer = WeightNormalization(
        kl.EinsumDense("ab,bcd->acd", (2, 3), bias_axes="d"), data_init=True
    )
    with pytest.raises(ValueError, match="needs a bias an output"):
        layer.adapt(np.ones((3, 4)))


def test_what_is_built_frozen_learns_once_it_is_not():
    layer = WeightNormalization(kl.Dense(3))
    layer.trainable = False
    model = keras.Sequential([keras.Input((4,)), layer])
    assert not model.trainable_variables
    layer.trainable = True
    assert len(model.trainable_variables) == 3
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = ops.convert_to_numpy(layer.lengths[0])
    model.fit(RANDOM.normal(size=(8, 4)), np.ones((8, 3)), verbose=0)
    assert np.abs(ops.convert_to_numpy(layer.lengths[0]) - before).max() > 1e-3


def test_a_stateful_layer_keeps_its_state():
    inner = kl.LSTM(4, stateful=True)
    model = keras.Sequential(
        [keras.Input(batch_shape=(2, 3, 5)), WeightNormalization(inner)]
    )
    x = RANDOM.normal(size=(2, 3, 5)).astype("float32")
    first, second = (ops.convert_to_numpy(model(x)) for _ in range(2))
    plain = keras.Sequential([keras.Input(batch_shape=(2, 3, 5)), inner])
    inner.reset_state()
    expected = [ops.convert_to_numpy(plain(x)) for _ in range(2)]
    np.testing.assert_allclose([first, second], expected, atol=1e-6)
    assert np.abs(second - first).max() > 1e-3
