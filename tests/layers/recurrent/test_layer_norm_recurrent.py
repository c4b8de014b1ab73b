"""Layer-normalised recurrent layers against references written from the formulas."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.data import Adding
from keras_dlparts.layers import (
    LayerNormGRU,
    LayerNormGRUCell,
    LayerNormLSTM,
    LayerNormLSTMCell,
    LayerNormSimpleRNN,
    LayerNormSimpleRNNCell,
)
from keras_dlparts.testing.keras_test_case import own_tests

LAYERS = [LayerNormLSTM, LayerNormGRU, LayerNormSimpleRNN]
CELLS = [LayerNormLSTMCell, LayerNormGRUCell, LayerNormSimpleRNNCell]
KERAS = [keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN]
EPSILON = 1e-5
UNITS = 4
each_layer = pytest.mark.parametrize("layer_class", LAYERS)
# For long tests of what the layers share: CI has the time for one of them.
one_in_ci = pytest.mark.parametrize(
    "layer_class",
    [
        LayerNormLSTM,
        *(
            pytest.param(one, marks=pytest.mark.study)
            for one in LAYERS
            if one is not LayerNormLSTM
        ),
    ],
)


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def data(batch=3, time=7, features=5, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, time, features)).astype("f")


def disturb(layer, seed=1):
    """Set every weight to something of its own, so that each of them matters."""
    random = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        weight.assign(0.3 + 0.7 * random.normal(size=weight.shape))


def made(layer_class, **arguments):
    keras.utils.set_random_seed(0)
    layer = layer_class(UNITS, **arguments)
    layer.build((None, None, 5))
    disturb(layer)
    return layer


# The formulas, in numpy.


def ln(a):
    return (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + EPSILON)


def logistic(a):
    return 1 / (1 + np.exp(-a))


def lstm(x, h, c, W, U, b, a_x, a_h, a_c, b_c):
    for x_t in x.swapaxes(0, 1):
        z = a_x * ln(x_t @ W) + a_h * ln(h @ U) + b
        i, f, g, o = np.split(z, 4, -1)
        c = logistic(f) * c + logistic(i) * np.tanh(g)
        h = logistic(o) * np.tanh(a_c * ln(c) + b_c)
    return h, c


def gru(x, h, W, U, b, a_x, a_h):
    n = 2 * h.shape[-1]
    for x_t in x.swapaxes(0, 1):
        q, p = x_t @ W, h @ U
        q = a_x * np.concatenate([ln(q[:, :n]), ln(q[:, n:])], -1) + b[0]
        p = a_h * np.concatenate([ln(p[:, :n]), ln(p[:, n:])], -1) + b[1]
        z, r = np.split(logistic(q[:, :n] + p[:, :n]), 2, -1)
        h = z * h + (1 - z) * np.tanh(q[:, n:] + r * p[:, n:])
    return (h,)


def simple(x, h, W, U, b, a):
    for x_t in x.swapaxes(0, 1):
        h = np.tanh(a * ln(x_t @ W + h @ U) + b)
    return (h,)


REFERENCE = dict(zip(LAYERS, [lstm, gru, simple], strict=True))


@pytest.mark.parametrize("unroll", [False, True])  # the hand-written loop, the cell
@pytest.mark.parametrize("training", [False, True])
@each_layer
def test_it_is_the_formula(layer_class, training, unroll):
    layer = made(layer_class, return_state=True, unroll=unroll)
    x = data(time=35)  # PyTorch makes 32 input products at once
    zeros = [np.zeros((3, UNITS), "f") for _ in layer.state_size]
    weights = [w.numpy() for w in layer.trainable_weights]
    expected = REFERENCE[layer_class](x, *zeros, *weights)
    output, *states = layer(x, training=training)
    np.testing.assert_allclose(numpy(output), expected[0], atol=2e-6)
    for state, wanted in zip(states, expected, strict=True):
        np.testing.assert_allclose(numpy(state), wanted, atol=2e-6)


def test_a_gru_that_resets_before_the_product():
    layer = made(LayerNormGRU, reset_after=False)
    x, n = data(time=1), 2 * UNITS
    W, U, b, a_x, a_h = (w.numpy() for w in layer.trainable_weights)
    h = np.random.default_rng(2).normal(size=(3, UNITS)).astype("f")
    q = x[:, 0] @ W
    q = a_x * np.concatenate([ln(q[:, :n]), ln(q[:, n:])], -1) + b
    gates = logistic(q[:, :n] + a_h[:n] * ln(h @ U[:, :n]))
    z, r = np.split(gates, 2, -1)
    g = np.tanh(q[:, n:] + a_h[n:] * ln((r * h) @ U[:, n:]))
    output = layer(x, initial_state=[h])
    np.testing.assert_allclose(numpy(output), z * h + (1 - z) * g, atol=2e-6)


def whole(layer, x):
    """A model that gives the layer's sequence and states as one row."""
    inputs = keras.Input(x.shape[1:])
    parts = keras.tree.flatten(layer(inputs))
    parts = [ops.reshape(p, (-1, int(np.prod(p.shape[1:])))) for p in parts]
    model = keras.Model(inputs, ops.concatenate(parts, axis=-1))
    model.compile("sgd", "mse")
    return model


VARIANTS = [{}, {"use_bias": False}, {"go_backwards": True}]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@each_layer
def test_the_gradient_by_hand_is_that_of_the_cell(layer_class, variant):
    arguments = {"return_sequences": True, "return_state": True, **variant}
    x = data()
    fused, unrolled = (made(layer_class, unroll=u, **arguments) for u in (False, True))
    target = data(1, 1, whole(fused, x).output_shape[-1], seed=3)[0].repeat(3, 0)
    assert fused.is_fused(None, True)
    assert not unrolled.is_fused(None, True)
    loss, gradients = backend.gradient(whole(fused, x), x, target)
    same_loss, wanted = backend.gradient(whole(unrolled, x), x, target)
    np.testing.assert_allclose(float(loss), float(same_loss), rtol=1e-6)
    for got, want in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(numpy(got), numpy(want), atol=2e-5, rtol=1e-4)


@each_layer
def test_the_gradient_is_that_of_finite_differences(layer_class):
    x, step = data(), 1e-5
    layer = made(layer_class, return_sequences=True)
    model = whole(layer, x)
    target = np.zeros((3, 7 * UNITS), "f")
    _, gradients = backend.gradient(model, x, target)
    reference = REFERENCE[layer_class]
    for at, gradient in enumerate(gradients):
        start = layer.trainable_weights[at].numpy()
        direction = np.random.default_rng(at).normal(size=start.shape)
        values = []
        for sign in (1, -1):
            weights = [w.numpy().astype("d") for w in layer.trainable_weights]
            weights[at] = start + sign * step * direction
            values.append(0.0)
            for time in range(1, 8):  # the whole sequence: the last h of each prefix
                zeros = [np.zeros((3, UNITS)) for _ in layer.state_size]
                h = reference(x[:, :time].astype("d"), *zeros, *weights)[0]
                values[-1] += np.sum(h**2) / target.size
        slope = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(
            np.sum(numpy(gradient) * direction), slope, rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize(("ours", "theirs"), [*zip(LAYERS, KERAS, strict=True)])
def test_without_normalisation_it_is_keras_layer(monkeypatch, ours, theirs):
    plain = theirs(UNITS, return_sequences=True)
    x = data()
    wanted = numpy(plain(x))
    for module in ("gru", "lstm", "simple_rnn"):
        path = f"keras_dlparts.layers.recurrent.layer_norm_{module}.normalise"
        monkeypatch.setattr(path, lambda a, *_: a)
    layer = ours.from_keras(plain)
    layer.unroll = True  # the cell's own arithmetic
    np.testing.assert_allclose(numpy(layer(x)), wanted, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("at", range(3))
def test_keras_own_tests_pass_without_normalisation(monkeypatch, at):
    """The numbers in them are those of the plain layers: masks, states, and so on."""
    ours, module = LAYERS[at], ("lstm", "gru", "simple_rnn")[at]
    monkeypatch.setattr(ours, "is_fused", lambda *_: False)
    path = f"keras_dlparts.layers.recurrent.layer_norm_{module}.normalise"
    monkeypatch.setattr(path, lambda a, *_: a)
    tests = own_tests(f"rnn.{module}_test", {KERAS[at].__name__: ours})
    # One counts weights, and here there are gains too; cuDNN has no such cells.
    left = ("test_basics", "test_torch_cudnn_dispatch_fires")
    ran = [run() for name, run in tests if name not in left]
    assert len(ran) >= 4


@pytest.mark.parametrize(("ours", "theirs"), [*zip(LAYERS, KERAS, strict=True)])
def test_from_keras_carries_weights_and_settings(ours, theirs):
    plain = theirs(UNITS, return_sequences=True, dropout=0.25, go_backwards=True)
    plain.build((None, 7, 5))
    layer = ours.from_keras(plain, zoneout=0.1)
    for name in ("kernel", "recurrent_kernel", "bias"):
        carried, original = getattr(layer.cell, name), getattr(plain.cell, name)
        np.testing.assert_array_equal(carried.numpy(), original.numpy())
    assert (layer.dropout, layer.go_backwards, layer.zoneout) == (0.25, True, 0.1)
    assert layer.return_sequences
    with pytest.raises(TypeError, match=f"must be a keras.layers.{theirs.__name__}"):
        ours.from_keras(keras.layers.Dense(3))


@pytest.mark.parametrize(("ours", "theirs"), [*zip(LAYERS, KERAS, strict=True)])
def test_every_argument_and_attribute_of_keras_layer_is_there(ours, theirs):
    arguments = theirs(3).get_config()
    layer, plain = ours.from_config(arguments), theirs.from_config(arguments)
    assert isinstance(layer, theirs)
    for name in vars(theirs):
        if not name.startswith("_") and not callable(getattr(plain, name, len)):
            assert hasattr(layer, name), name
    assert set(plain.get_config()) < set(layer.get_config())
    positional = ours(3, "tanh")
    assert positional.activation is keras.activations.tanh


@pytest.mark.parametrize("at", range(3))
def test_a_subclass_with_a_cell_of_its_own(at):
    """What the cell's own `call` does is done, and not what the written loop does."""

    class Cell(CELLS[at]):
        def call(self, *args, **kwargs):
            h, states = super().call(*args, **kwargs)
            return 2 * h, states

    class Layer(LAYERS[at]):
        cell_class = Cell

    plain = KERAS[at](UNITS)
    plain.build((None, 7, 5))
    doubled, layer = Layer.from_keras(plain), LAYERS[at].from_keras(plain)
    assert isinstance(doubled.cell, Cell)
    assert layer.is_fused(None, True)
    np.testing.assert_allclose(
        numpy(doubled(data())), 2 * numpy(layer(data())), atol=1e-5
    )

    class Other(LAYERS[at]):
        cell_class = keras.layers.LSTMCell

    with pytest.raises(TypeError, match=f"must be a subclass of {CELLS[at].__name__}"):
        Other(3)


# The invariances of the paper's table, on the products that are normalised.


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        ("rescale the matrix", True),
        ("recentre the matrix", True),
        ("rescale one weight vector", False),
        ("rescale the data", True),
        ("rescale one case", True),
        ("recentre the data", False),
    ],
)
@pytest.mark.parametrize("layer_class", [LayerNormLSTM, LayerNormGRU])
def test_invariances(layer_class, change, stays):
    layer, x = made(layer_class), data()
    layer.cell.epsilon = 1e-12
    before = numpy(layer(x))
    W = layer.cell.kernel.numpy()
    if change == "rescale the matrix":
        layer.cell.kernel.assign(3.0 * W)
    elif change == "recentre the matrix":  # the same vector added to every column;
        # the GRU has two groups of columns, and one shift serves both
        layer.cell.kernel.assign(W + np.arange(5.0)[:, None])
    elif change == "rescale one weight vector":
        W[:, 0] *= 3.0
        layer.cell.kernel.assign(W)
    elif change == "rescale the data":
        x = 5.0 * x
    elif change == "rescale one case":
        x[1] *= 5.0
    else:
        x = x + 1.0
    after = numpy(layer(x))
    assert np.allclose(before, after, atol=1e-5) == stays


# Sequences that begin with zeros.


def after_zeros(layer_class, count, unroll=False, epsilon=EPSILON, **arguments):
    """(output, gradients by name) of an untrained layer for the same sequences after so
    many steps of zeros, all of its outputs counted."""
    keras.utils.set_random_seed(0)
    layer = layer_class(
        32, unroll=unroll, epsilon=epsilon, return_sequences=True, **arguments
    )
    x = np.concatenate([np.zeros((3, count, 5), "f"), data()], axis=1)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    model.compile("sgd", lambda y, h: ops.sum((h[:, -7:] - y[:, -7:]) ** 2))
    _, gradients = backend.gradient(model, x, np.ones((3, count + 7, 32), "f"))
    names = [w.name for w in model.trainable_variables]
    return numpy(model(x)), dict(zip(names, map(numpy, gradients), strict=True))


@pytest.mark.long
@pytest.mark.parametrize(
    ("epsilon", "unroll"),
    [
        (EPSILON, False),
        pytest.param(EPSILON, True, marks=pytest.mark.long),
        pytest.param(1e-3, False, marks=pytest.mark.study),
        pytest.param(1e-3, True, marks=pytest.mark.study),
    ],
)
@each_layer
def test_zeros_at_the_start_leave_the_gradient_what_it_is(layer_class, epsilon, unroll):
    """Biases begin at zero, so the state stays zero: the steps of zeros change neither
    the outputs after them nor the gradient of what multiplies the state or the input.
    That of the biases grows by no more than the sum of the steps may."""
    output, gradients = after_zeros(layer_class, 0, unroll, epsilon)
    for count in (1, 2, 4, 8, 16):
        more, others = after_zeros(layer_class, count, unroll, epsilon)
        np.testing.assert_array_equal(more[:, :count], 0)
        np.testing.assert_allclose(more[:, count:], output, atol=2e-6)
        for name, gradient in gradients.items():
            if "bias" in name:
                size = np.linalg.norm(gradient)
                assert np.linalg.norm(others[name]) < (count + 2) * size, (count, name)
            else:
                size = np.abs(gradient).max()
                np.testing.assert_allclose(
                    others[name], gradient, atol=1e-5 * size, err_msg=f"{count} {name}"
                )


@each_layer
def test_after_zeros_both_loops_have_the_same_gradient(layer_class):
    fused, unrolled = (after_zeros(layer_class, 5, unroll) for unroll in (False, True))
    for name, gradient in fused[1].items():
        size = np.abs(gradient).max()
        np.testing.assert_allclose(
            gradient, unrolled[1][name], atol=1e-4 * size, err_msg=name
        )


@pytest.mark.long
@pytest.mark.parametrize(
    ("policy", "optimizer"),
    [
        ("float32", "adam"),
        pytest.param("float32", "sgd", marks=pytest.mark.study),
        pytest.param("mixed_bfloat16", "adam", marks=pytest.mark.study),
        pytest.param("mixed_bfloat16", "sgd", marks=pytest.mark.study),
    ],
)
@one_in_ci
def test_two_layers_learn_from_sequences_padded_in_front(
    layer_class, policy, optimizer
):
    """Which of two features is larger in the mean, after up to 24 steps of zeros."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    x = random.normal(size=(256, 30, 2)).astype("f")
    for row, count in enumerate(random.integers(0, 25, 256)):
        x[row, :count] = 0
    y = (x.sum(1)[:, 0] > x.sum(1)[:, 1]).astype("f")
    layers = [
        layer_class(16, return_sequences=True, dtype=policy),
        layer_class(16, dtype=policy),
        keras.layers.Dense(1, activation="sigmoid", dtype="float32"),
    ]
    model = keras.Sequential([keras.Input((30, 2)), *layers])
    rate = {"sgd": keras.optimizers.SGD(0.03), "adam": keras.optimizers.Adam(0.01)}
    model.compile(rate[optimizer], "binary_crossentropy")
    loss = model.fit(x, y, batch_size=32, epochs=6, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    assert all(np.isfinite(w.numpy()).all() for w in model.trainable_weights)
    assert loss[-1] < np.log(2)  # the loss of the constant guess


# What Keras' recurrent layers do besides.


@each_layer
def test_masks_skip_steps_wherever_they_stand(layer_class):
    layer, x = made(layer_class), data(batch=4)
    mask = np.ones((4, 7), bool)
    mask[0, 4:] = False  # right-padded
    mask[1, :3] = False  # left-padded
    mask[2] = False  # all of it
    y = numpy(layer(x, mask=ops.convert_to_tensor(mask)))
    np.testing.assert_allclose(y[0], numpy(layer(x[:1, :4]))[0], atol=1e-6)
    np.testing.assert_allclose(y[1], numpy(layer(x[1:2, 3:]))[0], atol=1e-6)
    np.testing.assert_array_equal(y[2], 0)
    np.testing.assert_allclose(y[3], numpy(layer(x))[3], atol=1e-6)


@each_layer
def test_a_stateful_layer_goes_on_and_resets(layer_class):
    stateful = made(layer_class, stateful=False)
    x = data(batch=2, time=6)
    inputs = keras.Input((3, 5), batch_size=2)
    layer = layer_class(UNITS, stateful=True)
    model = keras.Model(inputs, layer(inputs))
    layer.cell.set_weights([w.numpy() for w in stateful.cell.weights])
    model(x[:, :3])
    second = numpy(model(x[:, 3:]))
    np.testing.assert_allclose(second, numpy(stateful(x)), atol=1e-6)
    layer.reset_state()
    first = numpy(model(x[:, :3]))
    np.testing.assert_allclose(first, numpy(stateful(x[:, :3])), atol=1e-6)


@each_layer
def test_an_initial_state_counts(layer_class):
    layer, x = made(layer_class, return_state=True), data()
    _, *states = layer(x[:, :3])
    output, *_ = layer(x[:, 3:], initial_state=states)
    np.testing.assert_allclose(numpy(output), numpy(layer(x)[0]), atol=1e-6)


@each_layer
def test_backwards_is_the_flipped_sequence(layer_class):
    backwards = made(layer_class, go_backwards=True, return_sequences=True)
    forwards = made(layer_class, return_sequences=True)
    x = data()
    flipped = numpy(forwards(x[:, ::-1].copy()))
    np.testing.assert_allclose(numpy(backwards(x)), flipped, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 5), (1, 4, 5), (3, 1, 5)])
@each_layer
def test_one_case_and_one_step(layer_class, shape):
    layer = made(layer_class, return_sequences=True)
    model = whole(layer, np.zeros(shape, "f"))
    history = model.fit(
        data(*shape), np.zeros((shape[0], shape[1] * UNITS), "f"), verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.long
@one_in_ci
def test_lengths_may_be_ragged(layer_class):
    """Through `Masking` a batch of three lengths gives what each gives alone."""
    x, lengths = data() + 10.0, (7, 4, 1)
    for row, length in enumerate(lengths):
        x[row, length:] = 0
    layer = made(layer_class, return_sequences=True)
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, layer(keras.layers.Masking()(inputs)))
    y = model.predict(x, verbose=0)
    for row, length in enumerate(lengths):
        alone = numpy(layer(x[row : row + 1, :length]))[0]
        np.testing.assert_allclose(y[row, :length], alone, atol=1e-6)
    model.compile("sgd", "mse")
    loss = model.fit(x, y + 1, verbose=0).history["loss"]  # of all steps that count
    np.testing.assert_allclose(loss, 1.0, rtol=1e-5)


@each_layer
def test_no_step_at_all_counts(layer_class):
    """A batch whose masks hide all gives what Keras' own layer gives for it, which is
    not the same on all backends, whatever the weights, and has no gradient."""
    layer = made(layer_class)
    theirs = getattr(keras.layers, layer_class.__name__.removeprefix("LayerNorm"))
    first = [np.full((3, UNITS), 0.5, "f") for _ in layer.state_size]
    inputs, mask = keras.Input((7, 5)), keras.Input((7,), dtype="bool")
    start = [keras.Input((UNITS,)) for _ in first]
    outputs = layer(inputs, mask=mask, initial_state=start)
    model = keras.Model([inputs, mask, *start], outputs)
    model.compile("sgd", "mse")
    x = [data(), np.zeros((3, 7), bool), *first]
    y = numpy(model(x))
    keras_own = theirs(UNITS)(x[0], mask=x[1], initial_state=first)
    np.testing.assert_array_equal(y, numpy(keras_own))
    _, gradients = backend.gradient(model, x, y + 1)
    assert all(not numpy(gradient).any() for gradient in gradients)


@each_layer
def test_time_distributed_is_the_layer_at_each_time(layer_class):
    layer = made(layer_class)
    x = data(batch=6).reshape(2, 3, 7, 5)
    y = numpy(keras.layers.TimeDistributed(layer)(x))
    expected = numpy(layer(x.reshape(6, 7, 5))).reshape(2, 3, UNITS)
    np.testing.assert_allclose(y, expected, atol=1e-6)


@each_layer
def test_bidirectional_runs_ours_both_ways(layer_class):
    """Keras fuses two of its LSTMs or GRUs into one call; it must not fuse ours."""
    forward = made(layer_class, return_sequences=True)
    back = made(layer_class, return_sequences=True, go_backwards=True)
    both = keras.layers.Bidirectional(forward, backward_layer=back)
    both.build((None, 7, 5))  # a copy of the first one, with weights of its own
    both.forward_layer.cell.set_weights([w.numpy() for w in forward.cell.weights])
    there, again = numpy(forward(data())), numpy(back(data()))[:, ::-1]
    expected = np.concatenate([there, again], axis=-1)
    np.testing.assert_allclose(numpy(both(data())), expected, atol=1e-6)


def test_stacked_cells_are_layers_one_after_the_other():
    layers = [made(layer_class, return_sequences=True) for layer_class in LAYERS[:1]]
    for layer_class in LAYERS[1:]:
        layers.append(layer_class(UNITS, return_sequences=True))
        layers[-1].build((None, None, UNITS))
        disturb(layers[-1])
    cells = [cell(UNITS) for cell in CELLS]
    loop = keras.layers.RNN(keras.layers.StackedRNNCells(cells), return_sequences=True)
    loop.build((None, 7, 5))
    expected = data()
    for cell, layer in zip(cells, layers, strict=True):
        cell.set_weights([w.numpy() for w in layer.cell.weights])
        expected = layer(expected)
    np.testing.assert_allclose(numpy(loop(data())), numpy(expected), atol=1e-6)


@pytest.mark.long
def test_stacked_cells_train_with_noise():
    inputs = keras.Input((7, 5))
    cells = [cell(UNITS, zoneout=0.2, recurrent_dropout=0.2) for cell in CELLS]
    model = keras.Model(inputs, keras.layers.RNN(cells)(inputs))
    model.compile("sgd", "mse")
    loss = model.fit(data(), np.zeros((3, UNITS), "f"), verbose=0).history["loss"]
    assert np.isfinite(loss).all()


@each_layer
def test_initializers_regularizers_and_constraints_are_used(layer_class):
    layer = layer_class(
        UNITS,
        kernel_initializer=keras.initializers.Constant(0.5),
        recurrent_initializer=keras.initializers.Constant(0.25),
        kernel_regularizer=keras.regularizers.L1(1.0),
        recurrent_regularizer=keras.regularizers.L1(10.0),
        activity_regularizer=keras.regularizers.L2(1e-3),
        kernel_constraint=keras.constraints.MaxNorm(0.1),
        recurrent_constraint=keras.constraints.NonNeg(),
        bias_constraint=keras.constraints.MaxNorm(0.0),
    )
    model = whole(layer, data())
    cell = layer.cell
    output = numpy(layer(data()))
    kernel, recurrent = cell.kernel.numpy().sum(), cell.recurrent_kernel.numpy().sum()
    size, recurrent_size = (
        np.prod(w.shape) for w in (cell.kernel, cell.recurrent_kernel)
    )
    assert (kernel, recurrent) == (size / 2, recurrent_size / 4)
    wanted = [1e-3 * np.sum(output**2) / 3, kernel, 10 * recurrent]
    found = [numpy(loss) for loss in layer.losses]
    np.testing.assert_allclose(sorted(found), sorted(wanted), rtol=1e-5)
    model.fit(data(), np.ones((3, UNITS), "f"), verbose=0)
    norms = np.linalg.norm(cell.kernel.numpy(), axis=0)
    np.testing.assert_allclose(norms, 0.1, rtol=1e-5)
    assert (cell.recurrent_kernel.numpy() >= 0).all()
    assert not cell.bias.numpy().any()


@pytest.mark.parametrize(("cell", "layer"), [*zip(CELLS, LAYERS, strict=True)])
def test_a_cell_in_keras_rnn_is_the_layer(cell, layer):
    layer = made(layer, return_sequences=True)
    loop = keras.layers.RNN(cell(UNITS), return_sequences=True)
    loop.build((None, 7, 5))
    loop.cell.set_weights([w.numpy() for w in layer.cell.weights])
    x = data(time=35)
    np.testing.assert_allclose(numpy(loop(x)), numpy(layer(x)), atol=1e-6)


# Noise.


@each_layer
def test_zoneout_is_the_formula(layer_class):
    """One step from a state of twos: kept units stay at two, the others are new."""
    layer = made(layer_class, zoneout=0.4, seed=5, return_state=True)
    plain = made(layer_class, return_state=True)
    x, rows = data(time=1)[:1].repeat(2000, 0), 2000
    twos = [np.full((rows, UNITS), 2.0, "f") for _ in layer.state_size]
    _, *new = plain(x[:1], initial_state=[t[:1] for t in twos])
    _, *states = layer(x, initial_state=twos, training=True)
    for state, moved in zip(states, new, strict=True):
        state, moved = numpy(state), numpy(moved)
        kept = np.isclose(state, 2.0)
        np.testing.assert_allclose(
            np.where(kept, moved, state), moved.repeat(rows, 0), atol=1e-5
        )
        # 8000 draws: the standard deviation of the share is .0055
        assert abs(kept.mean() - 0.4) < 0.03
    _, *mean = layer(x[:1], initial_state=[t[:1] for t in twos], training=False)
    for state, moved in zip(mean, new, strict=True):
        wanted = 0.4 * 2.0 + 0.6 * numpy(moved)
        np.testing.assert_allclose(numpy(state), wanted, atol=1e-5)


def test_zoneout_is_drawn_anew_at_each_step():
    layer = made(LayerNormSimpleRNN, zoneout=0.5, seed=1, return_sequences=True)
    h = numpy(layer(data(batch=8, time=20), training=True))
    kept = np.isclose(h[:, 1:], h[:, :-1])  # (8, 19, 4)
    assert 0.4 < kept.mean() < 0.6
    assert not (kept == kept[:, :1]).all(axis=1).any()


@each_layer
def test_recurrent_dropout_has_one_mask_a_sequence(layer_class):
    """The masked units have no way into any step: their rows of U do not matter."""
    rate = 0.5

    def seeded(layer):
        backend.seed_globals(9)  # where Keras' dropout draws on PyTorch
        layer.cell.seed_generator.state.assign([9, 0])
        return layer

    def run(layer):
        return numpy(seeded(layer)(data(), training=True))

    layer = made(layer_class, recurrent_dropout=rate)
    first = run(layer)
    seeded(layer)
    mask = numpy(layer.cell.get_recurrent_dropout_mask(ops.ones((3, UNITS))))
    layer.cell.reset_recurrent_dropout_mask()
    assert set(np.unique(mask)) == {0.0, 2.0}
    for row in range(3):
        U = layer.cell.recurrent_kernel.numpy()
        changed = U.copy()
        changed[mask[row] == 0] += np.arange(changed.shape[1])
        layer.cell.recurrent_kernel.assign(changed)
        np.testing.assert_allclose(run(layer)[row], first[row], atol=1e-6)
        layer.cell.recurrent_kernel.assign(U)


@each_layer
def test_input_dropout_is_the_same_in_both_loops(layer_class):
    fused = made(layer_class, dropout=0.5, seed=4)
    unrolled = made(layer_class, dropout=0.5, seed=4, unroll=True)
    results = []
    for layer in (fused, unrolled):
        backend.seed_globals(9)
        results.append(numpy(layer(data(), training=True)))
    a, b = results
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert not np.allclose(a, numpy(fused(data(), training=False)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@each_layer
def test_mixed_precision_trains_on_large_inputs(layer_class, policy):
    """In float16 the sum of squares of these products overflows: 1e3^2 > 65504."""
    layer = layer_class(UNITS, dtype=policy)
    inputs = keras.Input((7, 5))
    outputs = keras.layers.Dense(1, dtype="float32")(layer(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    loss = model.fit(1e3 * data(), np.ones((3, 1), "f"), epochs=2, verbose=0)
    assert np.isfinite(loss.history["loss"]).all()
    assert all(np.isfinite(w.numpy()).all() for w in model.trainable_weights)
    assert layer(data()).dtype != "float32"


@pytest.mark.long
@one_in_ci
def test_half_precision_learns_to_add(layer_class):
    """The adding problem with float16 products and a scaled loss: better than 1/6."""
    x, y = Adding(length=6, samples=1024).train.arrays()
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = layer_class(16)
        model = keras.Sequential([layer, keras.layers.Dense(1, dtype="float32")])
        model.compile(keras.optimizers.Adam(0.02), "mse")
    finally:
        keras.config.set_dtype_policy("float32")
    loss = model.fit(x, y, batch_size=32, epochs=5, verbose=0).history["loss"]
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert layer.compute_dtype == "float16"
    assert layer.is_fused(None, True)
    assert np.isfinite(loss).all()
    # A simple recurrence, normalised at each step, forgets; 1/6 is the constant guess.
    assert loss[-1] < (1.0 if layer_class is LayerNormSimpleRNN else 0.8) / 6


@pytest.mark.skipif(
    backend.name() == "torch", reason="PyTorch's compiler needs a C++ compiler"
)
@pytest.mark.long
# The cell, and the hand-written loop.
@pytest.mark.parametrize("zoneout", [0.1, pytest.param(0.0, marks=pytest.mark.study)])
@one_in_ci
def test_a_compiled_step_is_not_traced_again(layer_class, zoneout, compiling):
    traces = []

    class Counting(layer_class):
        def inner_loop(self, *args, **kwargs):
            traces.append(1)
            return super().inner_loop(*args, **kwargs)

    inputs = keras.Input((7, 5))
    model = keras.Model(inputs, Counting(UNITS, zoneout=zoneout)(inputs))
    model.compile("sgd", "mse", jit_compile=True)
    for seed in range(2):
        model.train_on_batch(data(seed=seed), np.zeros((3, UNITS), "f"))
    once = len(traces)
    for seed in range(4):
        model.train_on_batch(data(seed=seed), np.zeros((3, UNITS), "f"))
    assert len(traces) == once
    for seed in range(2):
        model.predict_on_batch(data(seed=seed))
    once = len(traces)
    compiled = model.predict_on_batch(data())
    assert len(traces) == once
    np.testing.assert_allclose(compiled, numpy(model(data())), atol=1e-5)


@each_layer
def test_bad_arguments(layer_class):
    with pytest.raises(ValueError, match=r"0 <= zoneout < 1;.* Received: zoneout=1"):
        layer_class(3, zoneout=1)
    with pytest.raises(ValueError, match="zoneout=-1e-09"):
        layer_class(3, zoneout=-1e-9)
    with pytest.raises(TypeError, match="`zoneout` must be a number"):
        layer_class(3, zoneout="0.1")
    with pytest.raises(ValueError, match="`epsilon` must be > 0"):
        layer_class(3, epsilon=0.0)
    with pytest.raises(ValueError, match="units"):
        layer_class(0)
    assert layer_class(3, zoneout=0.999).zoneout == 0.999


@pytest.mark.parametrize("layer_class", LAYERS[:2])
def test_cudnn_cannot_be_asked_for(layer_class):
    assert layer_class(3, use_cudnn="auto").units == 3
    with pytest.raises(ValueError, match="no layer-normalised cells"):
        layer_class(3, use_cudnn=True)


@each_layer
def test_a_sequence_alone_is_as_among_many(layer_class):
    # Alone its products are centred, among many the matrices are.
    layer = made(layer_class)
    for weight in (layer.cell.kernel, layer.cell.recurrent_kernel):
        weight.assign(numpy(weight) + 1.0)  # far from centred
    x = data(batch=8, time=1)
    alone = np.concatenate([numpy(layer(x[i : i + 1])) for i in range(8)])
    np.testing.assert_allclose(alone, numpy(layer(np.repeat(x, 2, 0)))[::2], atol=1e-5)


@pytest.mark.parametrize(
    "cell_class", [LayerNormLSTMCell, LayerNormGRUCell, LayerNormSimpleRNNCell]
)
def test_a_cell_by_itself_draws_its_zoneout(cell_class):
    cell = cell_class(50, zoneout=0.5, seed=0)
    x = np.ones((2, 3), "float32")
    states = cell.get_initial_state(batch_size=2)
    states = keras.tree.map_structure(lambda state: state + 7, states)
    y = numpy(cell(x, states, training=True)[0])
    kept = (y == 7).mean()
    assert 0.3 < kept < 0.7
