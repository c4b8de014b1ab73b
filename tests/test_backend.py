"""The seam to the backends."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import normalising
from keras_dlparts.layers import (
    LayerNormGRU,
    LayerNormLSTM,
    LayerNormSimpleRNN,
    RandomDropout,
)


def test_name_is_the_backend_that_runs():
    assert backend.name() == os.environ.get("KERAS_BACKEND", backend.name())
    assert backend.name() in sys.modules


def test_seeds_are_those_of_keras_on_one_device():
    ours, theirs = backend.SeedGenerator(7), keras.random.SeedGenerator(7)
    for _ in range(3):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(ours.next()), ops.convert_to_numpy(theirs.next())
        )


def test_seeds_without_a_seed_follow_the_global_one():
    def draw():
        keras.utils.set_random_seed(5)
        return ops.convert_to_numpy(backend.SeedGenerator().next()).tolist()

    assert draw() == draw()


def dense_model(weights):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.set_weights(weights)
    model.compile(optimizer="sgd", loss="mse")
    return model


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_that_of_the_formula(weighted):
    """L = 1 / (n m) sum_i w_i |x_i K + b - y_i|^2, so with e = w (x K + b - y):

    dL/dK = 2 / (n m) x' e    and    dL/db = 2 / (n m) 1' e
    """
    random = np.random.default_rng(0)
    x, y = random.normal(size=(5, 3)), random.normal(size=(5, 2))
    kernel, bias = random.normal(size=(3, 2)), random.normal(size=2)
    w = random.uniform(size=5) if weighted else None
    error = x @ kernel + bias - y
    e = error if w is None else w[:, None] * error
    model = dense_model([kernel, bias])
    if weighted:
        w = w.astype("float32")
    loss, (d_kernel, d_bias) = backend.gradient(
        model, x.astype("float32"), y.astype("float32"), w
    )
    tolerance = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss), (e * error).mean(), **tolerance
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(d_kernel), 2 / y.size * x.T @ e, **tolerance
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(d_bias), 2 / y.size * e.sum(axis=0), **tolerance
    )


def test_gradient_function_is_the_gradient_and_is_traced_once():
    traces = []

    class Counted(keras.layers.Dense):
        def call(self, inputs):
            traces.append(1)
            return super().call(inputs)

    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.BatchNormalization(),
            RandomDropout(0.5, seed=1),
            Counted(2),
        ]
    )
    model.compile(optimizer="sgd", loss="mse")
    random = np.random.default_rng(0)
    measure = backend.gradient_function(model)
    traces.clear()
    for step in range(3):  # masks and moving averages step on in both alike
        model.set_weights([w + 0.1 * step for w in model.get_weights()])
        x, y = random.normal(size=(2, 4, 3)).astype("float32")
        seen = len(traces)
        kept = [v.numpy() for v in model.non_trainable_variables]
        loss, gradients = measure(x, y[:, :2])
        assert len(traces) - seen <= (step == 0 or backend.name() == "torch")
        moved = [v.numpy() for v in model.non_trainable_variables]
        for variable, value in zip(model.non_trainable_variables, kept, strict=True):
            variable.assign(value)
        wanted_loss, wanted = backend.gradient(model, x, y[:, :2])
        for ours, theirs in zip(
            [loss, *gradients, *moved],
            [wanted_loss, *wanted, *model.non_trainable_variables],
            strict=True,
        ):
            np.testing.assert_allclose(
                ops.convert_to_numpy(ours),
                ops.convert_to_numpy(theirs),
                rtol=1e-5,
                atol=1e-6,
            )


def test_gradient_leaves_the_weights():
    model = dense_model([np.ones((3, 2)), np.ones(2)])
    backend.gradient(model, np.ones((4, 3), "float32"), np.ones((4, 2), "float32"))
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, np.ones_like(weight))


def test_gradient_is_of_a_training_pass_and_steps_its_state_on():
    """Drops draw anew, and what the layers add to the loss counts."""
    model = keras.Sequential(
        [
            keras.Input((50,)),
            RandomDropout(0.9, seed=0),
            keras.layers.Dense(
                1,
                use_bias=False,
                kernel_initializer="ones",
                kernel_regularizer=keras.regularizers.L2(1.0),
            ),
        ]
    )
    model.compile(optimizer="sgd", loss="mse")
    x, y = np.ones((4, 50), "float32"), np.zeros((4, 1), "float32")
    first, second = (backend.gradient(model, x, y) for _ in range(2))
    assert float(ops.convert_to_numpy(first[0])) > 50  # the regulariser's part
    kernel, again = (
        ops.convert_to_numpy(gradient) for _, (gradient,) in (first, second)
    )
    assert not np.array_equal(kernel, again)


def test_products_with_a_jacobian_from_both_sides():
    """Of y = (tanh(x A) z, 3 x), with a gradient written by hand inside."""

    def backward(saved, upstream):
        return (upstream[0] * (1 - ops.square(saved)),)

    by_hand = backend.with_gradient(lambda x: ((ops.tanh(x),), ops.tanh(x)), backward)
    random = np.random.default_rng(0)
    a, x, z, v, u = (
        random.normal(size=shape).astype("float32")
        for shape in [(3, 4), (2, 3), (2, 4), (2, 3), (2, 4)]
    )

    def function(x, z, unused):
        return [by_hand(ops.matmul(x, a))[0] * z, 3 * x]

    inputs = [x, z, np.ones(2, "float32")]
    _, pull = backend.pullback(function, inputs)
    bend = (1 - np.tanh(x @ a) ** 2) * z
    pulled = [ops.convert_to_numpy(g) for g in pull([u, v])]
    np.testing.assert_allclose(pulled[0], (u * bend) @ a.T + 3 * v, rtol=1e-5)
    np.testing.assert_allclose(pulled[1], u * np.tanh(x @ a), rtol=1e-5)
    np.testing.assert_array_equal(pulled[2], [0, 0])
    pushed = backend.pushforward(function, inputs, [v, u, np.ones(2, "float32")])
    expected = [(v @ a) * bend + u * np.tanh(x @ a), 3 * v]
    for found, wanted in zip(pushed, expected, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(found), wanted, rtol=1e-5)
    slope = backend.slope(ops.tanh, x)
    np.testing.assert_allclose(slope, 1 - np.tanh(x) ** 2, rtol=1e-5)


def curved_model(regularizer=None):
    """Batch normalisation, drops and a convolution: all that a Hessian may cross."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((5, 2)),
            keras.layers.Conv1D(3, 2, activation="tanh"),
            keras.layers.BatchNormalization(),
            RandomDropout(0.5, seed=1),
            keras.layers.Flatten(),
            keras.layers.Dense(2, kernel_regularizer=regularizer),
        ]
    )
    model.compile(optimizer="sgd", loss="mse")
    return model


def test_curvature_is_the_difference_of_gradients():
    """H v = (g(w + h v) - g(w - h v)) / 2h + O(h^2), on the same masks.

    Rounding leaves about 1e-7 / h, with h = 1e-3 so 1e-4 of the gradient's size.
    """
    model, random = curved_model("l2"), np.random.default_rng(0)
    x = random.normal(size=(6, 5, 2)).astype("float32")
    y = random.normal(size=(6, 2)).astype("float32")
    weight = random.uniform(0.5, 1, size=6).astype("float32")
    vectors = [random.normal(size=v.shape) for v in model.trainable_variables]
    start = [v.numpy() for v in model.trainable_variables]

    def gradients_at(h):
        for variable, w, v in zip(
            model.trainable_variables, start, vectors, strict=True
        ):
            variable.assign(w + h * v)
        with backend.unmoved(model):
            return [
                ops.convert_to_numpy(g)
                for g in backend.gradient(model, x, y, weight)[1]
            ]

    h = 1e-3
    differences = [
        (after - before) / (2 * h)
        for after, before in zip(gradients_at(h), gradients_at(-h), strict=True)
    ]
    gradients = gradients_at(0)
    curvature = backend.curvature_function(model)
    with backend.unmoved(model):
        loss, ours, products = curvature(vectors, x, y, weight)
    with backend.unmoved(model):
        wanted = backend.gradient(model, x, y, weight)[0]
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
    largest = max(abs(d).max() for d in differences)
    for g, gradient, product, difference in zip(
        ours, gradients, products, differences, strict=True
    ):
        np.testing.assert_allclose(
            ops.convert_to_numpy(g), gradient, rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            ops.convert_to_numpy(product), difference, atol=2e-3 * largest
        )


def test_curvature_is_symmetric_and_draws_anew():
    """u' H v = v' H u on the same masks; the next call has other masks."""
    model, random = curved_model(), np.random.default_rng(1)
    x = random.normal(size=(6, 5, 2)).astype("float32")
    y = random.normal(size=(6, 2)).astype("float32")
    curvature = backend.curvature_function(model)
    u, v = (
        [random.normal(size=w.shape).astype("float32") for w in vs]
        for vs in [model.trainable_variables] * 2
    )

    def product(vectors):
        return [ops.convert_to_numpy(p) for p in curvature(vectors, x, y)[2]]

    def dot(a, b):
        return sum((i * j).sum() for i, j in zip(a, b, strict=True))

    with backend.unmoved(model):
        along_u = product(u)
    along_v = product(v)
    assert dot(v, along_u) == pytest.approx(dot(u, along_v), rel=1e-4)
    again = product(v)
    assert not np.allclose(again[0], along_v[0])


def test_curvature_of_a_linear_loss_and_of_an_unused_weight_is_zero():
    class Unused(keras.layers.Dense):
        def build(self, shape):
            super().build(shape)
            self.spare = self.add_weight(shape=(2,), name="spare")

    model = keras.Sequential([keras.Input((3,)), Unused(1, use_bias=False)])
    model.compile(loss=lambda y, prediction: prediction[:, 0])
    x = np.ones((4, 3), "float32")
    ones = [np.ones(v.shape) for v in model.trainable_variables]
    _, gradients, products = backend.curvature_function(model)(ones, x, x[:, :1])
    assert [ops.convert_to_numpy(g).ravel().tolist() for g in gradients] == [
        [1, 1, 1],
        [0, 0],
    ]
    assert all(not ops.convert_to_numpy(p).any() for p in products)


@pytest.mark.long
@pytest.mark.parametrize(
    "kind", [LayerNormSimpleRNN, LayerNormGRU, LayerNormLSTM], ids=lambda k: k.__name__
)
def test_curvature_passes_loops_with_gradients_written_by_hand(kind):
    """The same Hessian as of the unrolled loop, which backends differentiate."""
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 3, 2)).astype("float32")
    y = random.normal(size=(3, 1)).astype("float32")
    found = []
    for unroll in (True, False):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.Input((3, 2)), kind(3, unroll=unroll), keras.layers.Dense(1)]
        )
        model.compile(loss="mse")
        ones = [np.ones(v.shape) for v in model.trainable_variables]
        curvature = backend.curvature_function(model, compiled=not unroll)
        products = curvature(ones, x, y)[2]
        found.append(
            np.concatenate([ops.convert_to_numpy(p).ravel() for p in products])
        )
    assert abs(found[0]).max() > 0.1
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-3 * abs(found[0]).max())


TWO_REPLICAS = """
import json
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
import numpy as np
from keras_dlparts.layers import RandomDropout

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layers = RandomDropout(0.9, seed=3), keras.layers.Dropout(0.5, seed=3)

@tf.function
def step(layer):
    return strategy.run(lambda: layer(tf.ones((4, 50)), training=True))

same = []
for layer in layers:
    masks = [[y.numpy() != 0 for y in step(layer).values] for _ in range(2)]
    (a, b), (c, d) = masks
    same.append([bool((m == n).all()) for m, n in ((a, b), (a, c), (b, d), (b, c))])
print(json.dumps(same))
"""


@pytest.mark.slow
@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute")
def test_replicas_draw_different_masks():
    """Where Keras' own Dropout draws the same: else our generator has no use.

    A new process, for logical devices are made before TensorFlow starts.
    """
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    ours, keras_own = json.loads(done.stdout.splitlines()[-1])
    assert ours == [False, False, False, False]
    assert keras_own[0]


@pytest.fixture(params=["processor", "accelerator"])
def rounding(request, monkeypatch):
    """The means are computed in another way where accelerators round products."""
    devices = [] if request.param == "processor" else ["one"]
    monkeypatch.setattr(normalising, "accelerators", lambda: devices)


@pytest.mark.usefixtures("rounding")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("widths", [(4,), (4, 2)])
def test_row_norm_is_layer_normalisation_and_its_gradient(widths, centred, bias):
    random = np.random.default_rng(0)
    ends = np.cumsum(widths)[:-1]
    n, epsilon = sum(widths), 1e-3

    def grouped(function, a):
        return np.concatenate([function(g) for g in np.split(a, ends, -1)], -1)

    def normalised(a):
        a = a - a.mean(-1, keepdims=True)
        return a / np.sqrt((a * a).mean(-1, keepdims=True) + epsilon)

    def wanted(a, gain, b):
        return gain * grouped(normalised, a) + b

    norm = backend.row_norm(epsilon, *widths, centred=centred)
    a, dy = random.normal(size=(2, 3, n))
    if centred:
        a = ops.convert_to_numpy(norm.centre(ops.convert_to_tensor(a, "float32")))
    gain, b = random.normal(size=(2, n))
    b = b if bias else 0 * b
    tensors = [ops.convert_to_tensor(v, "float32") for v in (a, gain, b, dy)]
    given = tensors[1], tensors[2] if bias else None
    ys, kept = norm(tensors[0], *given)
    assert [y.shape[-1] for y in ys] == [*widths]
    for made in (ys, norm.again(kept, *given)):
        y = np.concatenate([*map(ops.convert_to_numpy, made)], -1)
        np.testing.assert_allclose(y, wanted(a, gain, b), atol=1e-5)
    assert [k.shape[-1] for k in keras.tree.flatten(kept)] == keras.tree.flatten(
        norm.kept
    )
    dys = norm.split(tensors[3])
    found = norm.gradient(dys, kept, tensors[1], bias=bias)
    assert (found[2] is None) == (not bias)
    if centred:  # what comes in is, so a step away has to be
        found = (norm.centre(found[0]), *found[1:])
    point = [v.astype("d") for v in (a, gain, b)]
    for at, gradient in enumerate(found[: 2 + bias]):
        direction = random.normal(size=point[at].shape)
        ahead, behind = (
            [v + s * 1e-5 * direction if i == at else v for i, v in enumerate(point)]
            for s in (1, -1)
        )
        slope = np.sum(dy * (wanted(*ahead) - wanted(*behind))) / 2e-5
        ours = np.sum(ops.convert_to_numpy(gradient) * direction)
        np.testing.assert_allclose(ours, slope, rtol=1e-3)


class Rows(keras.Model):
    """A weight `a`, normalised row by row in two groups: automatic differentiation."""

    def __init__(self, a, norm):
        super().__init__()
        self.norm = norm
        self.a = self.add_weight(shape=a.shape, initializer=lambda *_, **__: a)

    def call(self, x):
        return self.norm.differentiable(ops.convert_to_tensor(self.a)) + 0 * x


@pytest.mark.usefixtures("rounding")
@pytest.mark.parametrize("epsilon", [1e-5, 1e-3, 1e-9, 2.0])
def test_row_norm_passes_no_more_than_the_gradient_where_it_normalises_nothing(epsilon):
    """s (dn - mean(dn) - n mean(dn n)) with s = 1 below the floor, min(epsilon, 1e-5):
    by hand and by automatic differentiation, at rows just below the floor and above."""
    random = np.random.default_rng(0)
    floor, widths = min(epsilon, 1e-5), (6, 3)
    variances = np.array([0, 1e-4, 0.99, 1.01, 1e4])[:, None] * floor
    parts, ns, wanted, dys = [], [], [], []
    for width in widths:
        a, dn = random.normal(size=(2, 5, width))
        a = (a - a.mean(-1, keepdims=True)) / a.std(-1, keepdims=True)
        a = a * variances**0.5
        s = 1 / np.sqrt(variances + epsilon)
        n = a * s
        if epsilon < 1:
            s[:3] = 1
        dn_ = dn - dn.mean(-1, keepdims=True)
        wanted.append(s * (dn_ - n * (dn * n).mean(-1, keepdims=True)))
        parts.append(a)
        ns.append(n)
        dys.append(dn)
    a, n, dy, da = (np.concatenate(v, -1).astype("f") for v in (parts, ns, dys, wanted))
    norm = backend.row_norm(epsilon, *widths, centred=False)
    ys, kept = norm(ops.convert_to_tensor(a), None)
    np.testing.assert_allclose(
        np.concatenate([*map(ops.convert_to_numpy, ys)], -1), n, atol=1e-5
    )
    given = norm.split(ops.convert_to_tensor(dy))
    found = ops.convert_to_numpy(norm.gradient(given, kept, ops.ones(9))[0])
    model = Rows(a, norm)
    model.compile("sgd", lambda y, p: ops.sum(y * p, -1))
    _, (automatic,) = backend.gradient(model, np.zeros((5, 9), "f"), 5 * dy)
    output = ops.convert_to_numpy(model(np.zeros((5, 9))))
    np.testing.assert_allclose(output, n, atol=1e-5)
    for gradient in (found, ops.convert_to_numpy(automatic)):
        np.testing.assert_allclose(gradient, da, rtol=1e-3, atol=1e-3)


def test_row_norm_keeps_too_large_squares_within_their_group():
    a = np.array([[1e25, -1e25, 1.0, -1.0]], "float32")
    norm = backend.row_norm(1e-5, 2, 2)
    ys, kept = norm(ops.convert_to_tensor(a), None)
    np.testing.assert_allclose(ops.convert_to_numpy(ys[1]), a[:, 2:], rtol=1e-4)
    da, *_ = norm.gradient([ops.ones_like(y) for y in ys], kept, ops.ones((4,)))
    for result in (*ys, da):
        assert np.isfinite(ops.convert_to_numpy(result)).all()


@pytest.mark.usefixtures("rounding")
@pytest.mark.parametrize("value", [1.7, 0.3, 1000.1])
def test_row_norm_makes_zeros_of_a_row_of_one_value(value):
    """The mean that rounding leaves is divided by sqrt(epsilon). A sum of 1024 terms
    ends a few units of the last place away, at 1.7 some 2e-6, which is 7e-4 then."""
    a = np.full((2, 1024), value, "f")
    norm = backend.row_norm(1e-5, 1024, centred=False)
    (y,), _ = norm(ops.convert_to_tensor(a), None)
    assert np.abs(ops.convert_to_numpy(y)).max() < 1e-5


def in_half(policy, auto_scale_loss=True):
    """A net in some policy but for its last layer, with state and with draws."""
    keras.utils.set_random_seed(0)
    half = {"dtype": policy}
    layers = [
        keras.layers.Dense(8, "tanh", **half),
        keras.layers.BatchNormalization(**half),
        RandomDropout(0.5, seed=1, **half),
        keras.layers.Dense(8, "tanh", **half),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential([keras.Input((6,)), *layers])
    optimizer = keras.optimizers.SGD(1e-3)
    if auto_scale_loss:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, "mse", jit_compile=False)
    return model


@pytest.mark.parametrize("auto_scale_loss", [True, False])
@pytest.mark.parametrize("size", [1e-5, 100.0])
def test_gradients_and_curvature_in_float16_are_those_of_float32(size, auto_scale_loss):
    """Unscaled, small ones were 0; and by Keras' first scale large ones are infinite.

    The state of the model steps on once, however many scales are tried.
    """
    x = np.random.default_rng(0).normal(size=(512, 6)).astype("float32")
    y, found = np.ones((512, 1), "float32"), []
    for policy in ("float32", "mixed_float16"):
        model = in_half(policy, auto_scale_loss)
        kernel = model.layers[-1].kernel
        kernel.assign(size * kernel)  # the gradient that comes down is of that size
        vectors = [np.ones(v.shape, "float32") for v in model.trainable_variables]
        _, gradients = backend.gradient_function(model, compiled=False)(x, y)
        _, again, products = backend.curvature_function(model, compiled=False)(
            vectors, x, y
        )
        state = [v.numpy() for v in model.non_trainable_variables]
        found.append([gradients, again, products, state])
    for expected, there in zip(*found, strict=True):
        for a, b in zip(expected, there, strict=True):
            a, b = (ops.convert_to_numpy(each).astype("float64") for each in (a, b))
            close = 0.05 * np.linalg.norm(a)
            np.testing.assert_allclose(b, a, rtol=0, atol=close)
