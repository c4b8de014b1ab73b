"""BayesianSparsityDropout against its formulas, and under all ways of training."""

import shutil
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import keras_dlparts
from keras_dlparts import backend
from keras_dlparts.layers import BayesianSparsityDropout
from keras_dlparts.layers.sparsity.shrinking import judged, shrunk

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 6)).astype("float32")
Y = (X @ RANDOM.normal(size=(6, 3))).astype("float32")


def compiled(inner=None, optimizer=None, **arguments):
    """(model, layer) of one wrapped Dense whose draws never drop, if p allows it."""
    keras.utils.set_random_seed(0)
    arguments = {"warmup": 1, "ramp": 1, "seed": 0, **arguments}
    layer = BayesianSparsityDropout(inner or kl.Dense(3), **arguments)
    model = keras.Sequential([keras.Input((6,)), layer])
    model.compile(optimizer or keras.optimizers.SGD(0.05), "mse")
    return model, layer


def state(layer):
    return {v.name: v.numpy() for v in layer.weights}


def kernel(layer):
    return ops.convert_to_numpy(layer.posterior_kernel())


def reference(path, strength, warmup, ramp, level, batches):
    """Two windows of the docstring's formulas, from steps that were taken elsewhere."""
    w, _taken, keep, rho, s = path[0], 0.0, np.ones_like(path[0]), 0.0, 0.0
    for t in range(len(path) // batches):
        window, steps = [], []
        for b in range(batches):
            step = path[t * batches + b] - path[max(t * batches + b - 1, 0)]
            w = w + step
            window.append(w)
            steps.append((step**2)[keep > 0].mean())
            part = np.clip((t - warmup + 1) / ramp, 0, 1)
            c = part * strength / max(s, 1e-30) * rho / np.sqrt(batches)
            w = np.where(keep > 0, w / (1 + c * s**2 / w**2), 0)
        m, v, rho = np.mean(window, 0), np.var(window, 0), np.mean(steps) ** 0.5
        s = np.sqrt((m**2).mean()) if t < warmup else s
        r2 = m**2 / (v + v[keep > 0].mean())
        down = (keep == 0) | ((part >= 1) & (r2 < level**2))
        keep = 1 - np.clip((t - warmup + 2) / ramp, 0, 1) * np.exp(-r2 / 2)
        keep = np.where(down, 0, keep)
    return m, keep, rho, s


def test_it_does_what_its_formulas_say():
    """The kernel is moved by hand, and so are the weights of the reference."""
    steps = 0.1 * RANDOM.normal(size=(12, 6, 3))
    steps[:, 0] = 0.3 * (-1.0) ** np.arange(12)[:, None]  # goes nowhere
    steps[0, 0] = 0.01
    path = steps.cumsum(0).astype("float32")
    layer = BayesianSparsityDropout(kl.Dense(3), warmup=1, ramp=2, every=4, seed=0)
    layer.build((None, 6))
    for kernel_ in path:
        layer.layer.kernel.assign(kernel_)
        layer(X, training=True)
    m, keep, rho, s = reference(path.astype("float64"), 2.0, 1, 2, 1.0, 4)
    assert (keep == 0).any()
    assert ((keep > 0) & (keep < 1)).any()
    found = state(layer)
    np.testing.assert_allclose(found["mean"], m, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["keep"], keep, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose([found["rho"], found["scale"]], [rho, s], rtol=1e-4)
    np.testing.assert_allclose(kernel(layer), m * keep, rtol=1e-3, atol=1e-6)


def test_moments_are_those_of_the_window_also_when_it_has_just_ended():
    path = RANDOM.normal(size=(6, 6, 3)).astype("float32")
    layer = BayesianSparsityDropout(kl.Dense(3), warmup=9, every=4, seed=0)
    layer.build((None, 6))
    for step, begin in enumerate([0, 0, 0, 0, 4, 4]):
        layer.layer.kernel.assign(path[step])
        layer(X, training=True)
        window = path[begin : step + 1]
        variance = window.var(axis=0)
        mean, spread = layer.moments()
        np.testing.assert_allclose(mean, window.mean(axis=0), rtol=1e-4, atol=1e-6)
        expected = np.sqrt(variance + variance.mean())
        np.testing.assert_allclose(spread, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("prior", ["jeffreys", "laplace"])
def test_shrunk_is_the_ridge_of_the_e_step(prior):
    w = np.array([1e-3, -0.02, 0.5, -3.0, 0.0], "float32")
    a, s, gamma = 0.01, 0.3, 4.0
    e = s**2 / w[:4] ** 2 if prior == "jeffreys" else gamma**0.5 * s / np.abs(w[:4])
    found = ops.convert_to_numpy(shrunk(ops.convert_to_tensor(w), a, s, prior, gamma))
    np.testing.assert_allclose(found[:4], w[:4] / (1 + a / s * e), rtol=1e-5)
    assert found[4] == 0
    assert ops.convert_to_numpy(shrunk(ops.zeros(1), 0.0, 0.0, prior, gamma)) == 0


def test_the_boundary_of_level():
    """|m| = level s is kept; what was shut down stays so whatever its mean."""
    mean = np.array([2.0, 1.999, 50.0], "float32")
    variance, keep = np.full(3, 0.5, "float32"), np.array([1, 1, 0], "float32")
    given = map(ops.convert_to_tensor, (mean, variance, keep))
    found = ops.convert_to_numpy(judged(*given, 1.0, 2.0))
    np.testing.assert_allclose(found, [1 - np.exp(-2), 0, 0], rtol=1e-5)


def test_nothing_but_a_dense_layer_in_the_warmup():
    """The first window neither drops nor pulls: plain SGD, and its mean over steps."""
    model, layer = compiled(warmup=2)
    plain = keras.Sequential([keras.Input((6,)), kl.Dense(3)])
    plain.set_weights(layer.layer.get_weights())
    plain.compile(keras.optimizers.SGD(0.05), "mse")
    seen = []
    for i in range(4):
        seen.append(plain.layers[0].kernel.numpy())
        for one in (model, plain):
            one.train_on_batch(X[16 * i : 16 * i + 16], Y[16 * i : 16 * i + 16])
    np.testing.assert_allclose(layer.layer.kernel, plain.layers[0].kernel, rtol=1e-5)
    np.testing.assert_allclose(kernel(layer), np.mean(seen, 0), rtol=1e-4, atol=1e-6)


OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "sgd": lambda: keras.optimizers.SGD(0.02, momentum=0.9),
}


@pytest.mark.long
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_finds_the_weights_that_matter(name):
    """y depends on two inputs of six: those stay, others are shut down for good.

    In the logs the fraction begins at 1 and never grows.
    """
    keras.utils.set_random_seed(1)
    layer = BayesianSparsityDropout(kl.Dense(1), warmup=4, strength=1.0, seed=0)
    model = keras.Sequential([keras.Input((6,)), layer])
    model.compile(OPTIMIZERS[name](), "mse", jit_compile=backend.name() == "jax")
    random = np.random.default_rng(2)
    x = random.normal(size=(512, 6)).astype("float32")
    y = x[:, 1] - 0.5 * x[:, 4] + 0.3 * random.normal(size=512)
    logs = model.fit(x, y, epochs=30, batch_size=32, shuffle=False, verbose=0).history
    left = logs[f"{layer.name}_left"]
    found = np.flatnonzero(kernel(layer))
    assert {1, 4} <= {*found.tolist()}
    assert len(found) <= 4
    assert left[0] == 1
    assert (np.diff(left) <= 0).all()
    # The logs are of the epoch's start, the steps after it decided nothing.
    assert left[-1] == pytest.approx(len(found) / 6)
    assert layer.sparsity == pytest.approx(1 - len(found) / 6)
    assert layer.counts() == (len(found), 6)


@pytest.mark.study
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_needed_weight_may_change_its_sign_at_a_low_rate(name):
    """It starts at -0.3 and belongs at 1, 40 epochs of 16 steps away. After two
    epochs of warm-up the prior holds it at zero; by default the warm-up is longer, and
    ends when the weights have come to rest."""
    random = np.random.default_rng(0)
    x = random.normal(size=(512, 8)).astype("float32")
    y = x[:, 0] - x[:, 1] + 0.1 * random.normal(size=512)
    rates = {"adam": keras.optimizers.Adam(2e-3), "sgd": keras.optimizers.SGD(1e-3)}
    found = {}
    for warmup in (2, None):
        keras.utils.set_random_seed(0)
        layer = BayesianSparsityDropout(kl.Dense(1), warmup=warmup, ramp=2, seed=0)
        model = keras.Sequential([keras.Input((8,)), layer])
        optimizer = type(rates[name]).from_config(rates[name].get_config())
        model.compile(optimizer, "mse", jit_compile=backend.name() == "jax")
        start = layer.layer.kernel.numpy()
        start[0] = -0.3
        layer.layer.kernel.assign(start)
        model.fit(x, y, batch_size=32, epochs=120, verbose=0)
        found[warmup] = kernel(layer)[:, 0]
        assert layer.waited.numpy() == 2 if warmup else 10 < layer.waited.numpy() < 119
    assert found[2][0] == 0
    assert found[None][0] > 0.5
    assert np.count_nonzero(found[None]) < 8


def test_the_warmup_ends_when_the_steps_add_up_to_three_times_the_weights():
    """Steps of 0.1 in windows of 2, whose mean weights have the size 1."""
    layer = BayesianSparsityDropout(kl.Dense(3), every=2, ramp=1, seed=0)
    layer.build((None, 6))
    waited = []
    for step in range(36):
        layer.layer.kernel.assign(np.full((6, 3), 0.95 + 0.1 * (step % 2)))
        layer(X, training=True)
        waited.append(float(layer.waited.numpy()))
    # A window's way is n sqrt(mean of the squared steps); the very first step is none,
    # as the weights begin there.
    way = 0.2 / 2**0.5 + 0.2 * np.arange(18)
    last = 1 + int(np.argmax(way >= 3))
    assert waited[-1] == last
    assert (layer.window.numpy(), waited[2 * last - 1]) == (18, last)
    assert waited[0] == waited[2] == 2


@pytest.mark.parametrize("missing", [3, 1])
def test_weights_of_a_file_of_an_older_version(missing):
    """They lacked the length of the warm-up, then how hard to pull."""
    model, layer = compiled(warmup=3)
    model.fit(X, Y, epochs=2, verbose=0)
    own = [v for v in layer.notes() if v.name != "seed_generator_state"]
    assert [v.name for v in own][-3:] == ["travel", "waited", "force"]
    old = {f"{at}": v.numpy() for at, v in enumerate(own[:-missing])}
    _, other = compiled(warmup=3)
    other.load_own_variables(old)
    for a, b in zip(own[:-missing], other.notes(), strict=False):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.name)
    assert (other.waited.numpy(), other.force.numpy()) == (3, 1)


@pytest.mark.slow
@pytest.mark.skipif(
    not (backend.can_compile() or shutil.which("gcc")),
    reason="PyTorch's compiler needs a C++ compiler",
)
@pytest.mark.filterwarnings("ignore")  # PyTorch's compiler warns of its own code
def test_compiled_it_learns_as_it_does_uncompiled():
    logs = []
    for jit in (False, True):
        model, layer = compiled(warmup=2, ramp=2)
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=jit)
        history = model.fit(X, Y, batch_size=16, epochs=4, shuffle=False, verbose=0)
        logs.append(history.history["loss"])
        assert (layer.window.numpy(), layer.batches.numpy()) == (3, 4)
    assert np.isfinite(logs).all()
    # While nothing is dropped: XLA draws other numbers.
    np.testing.assert_allclose(*[log[:2] for log in logs], rtol=1e-3)


def with_dead(layer):
    """Shut down the first row by hand."""
    keep = layer.keep.numpy()
    keep[0] = 0
    layer.keep.assign(keep)


@pytest.mark.long
def test_dead_weights_stay_exactly_zero():
    """Even under momentum, and whatever their mean was."""
    model, layer = compiled(optimizer=keras.optimizers.Adam(0.05))
    model.fit(X, Y, epochs=1, verbose=0)
    with_dead(layer)
    assert (kernel(layer)[0] == 0).all()
    before = model.predict(X, verbose=0)
    np.testing.assert_allclose(model.predict(X * [0, 1, 1, 1, 1, 1]), before, rtol=1e-5)
    model.fit(X, Y, epochs=3, verbose=0)
    assert (kernel(layer)[0] == 0).all()
    bias = layer.layer.bias.numpy()
    first = np.eye(6, dtype="float32")[:1]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layer(first, training=True))[0], bias
    )


def test_every_counts_steps_under_train_on_batch():
    model, layer = compiled(every=3)
    windows = []
    for _ in range(7):
        model.train_on_batch(X, Y)
        windows.append(float(layer.window.numpy()))
    assert windows == [0, 0, 1, 1, 1, 2, 2]
    assert layer.batches.numpy() == 3


def test_train_on_batch_alone_ends_no_epoch():
    """It resets the metrics each time, as `fit` does each epoch."""
    model, layer = compiled()
    for _ in range(5):
        model.train_on_batch(X, Y)
    assert (layer.window.numpy(), layer.n.numpy()) == (0, 5)


def test_windows_are_epochs_under_fit():
    """The last step of an epoch is seen when the next one begins."""
    model, layer = compiled()
    model.fit(X, Y, batch_size=16, epochs=3, verbose=0)
    assert (layer.window.numpy(), layer.batches.numpy(), layer.n.numpy()) == (2, 4, 3)


@pytest.mark.long
def test_evaluating_between_epochs_changes_nothing():
    states = []
    for validation in (None, (X, Y)):
        model, layer = compiled()
        model.fit(X, Y, epochs=3, shuffle=False, validation_data=validation, verbose=0)
        model.predict(X, verbose=0)
        states.append(state(layer))
    for name in states[0].keys() - {"began", "epoch_over"}:
        np.testing.assert_array_equal(states[0][name], states[1][name], err_msg=name)


@pytest.mark.long
def test_accumulated_gradients_count_once():
    """Four accumulated quarters of a batch are one batch: the same window by window."""
    found = []
    for count in (1, 4):
        adam = keras.optimizers.Adam(
            0.05, gradient_accumulation_steps=None if count == 1 else count
        )
        # A ramp so long that hardly a weight is dropped; the pull is there.
        arguments = {"every": 2, "ramp": 10**6, "strength": 1e5}
        model, layer = compiled(optimizer=adam, **arguments)
        for _ in range(10):
            for part in np.split(np.arange(64), count):
                model.train_on_batch(X[part], Y[part])
        found.append(state(layer))
    assert found[0]["window"] == found[1]["window"] == 5
    assert np.abs(found[0]["pulled"]).max() > 0.01
    for name in ("kernel", "pulled", "mean", "keep", "rho"):
        np.testing.assert_allclose(
            found[0][name], found[1][name], rtol=1e-3, atol=1e-4, err_msg=name
        )


def test_a_second_call_in_a_step_counts_once():
    layer = BayesianSparsityDropout(kl.Dense(6, use_bias=False), every=5, seed=0)
    x = keras.Input((6,))
    model = keras.Model(x, layer(layer(x)))
    model.compile("sgd", "mse")
    model.train_on_batch(X, X)
    model.train_on_batch(X, X)
    assert layer.n.numpy() == 2


def test_saved_in_the_middle_it_goes_on_the_same(tmp_path):
    """Saved between steps, and resumed, to the same bits (draws put back by hand)."""
    model, layer = compiled(optimizer="adam", every=2)
    for _ in range(5):
        model.train_on_batch(X, Y)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    revived = loaded.layers[0]
    revived.seed_generator.state.assign(layer.seed_generator.state.numpy())
    for one in (model, loaded):
        for _ in range(5):
            one.train_on_batch(X, Y)
    ours, theirs = state(layer), state(revived)
    assert ours["window"] == 5
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    np.testing.assert_array_equal(
        model.predict(X, verbose=0), loaded.predict(X, verbose=0)
    )


KINDS = [
    (lambda: kl.Dense(4), (5,)),
    (lambda: kl.EinsumDense("abc,cde->abde", (4, 2, 3), bias_axes="e"), (4, 5)),
    (lambda: kl.Conv1D(4, 3, padding="causal"), (6, 2)),
    (lambda: kl.Conv2D(4, 3, groups=2, activation="relu"), (6, 6, 4)),
    (lambda: kl.Conv3D(2, 2), (3, 3, 3, 1)),
    (lambda: kl.Embedding(7, 3), (5,)),
]


@pytest.mark.parametrize(("make", "shape"), KINDS, ids=[str(s) for _, s in KINDS])
def test_every_kind_of_kernel(make, shape):
    """Untrained it is the layer inside; trained, with dead weights, it learns on."""
    inner = make()
    layer = BayesianSparsityDropout(inner, every=1, warmup=1, ramp=1, seed=0)
    x = RANDOM.integers(0, 7, (8, *shape)).astype("float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(x)), ops.convert_to_numpy(inner(x)), rtol=1e-5
    )
    assert layer.compute_output_shape((None, *shape)) == inner.compute_output_shape(
        (None, *shape)
    )
    model = keras.Sequential([keras.Input(shape), layer, kl.Flatten(), kl.Dense(1)])
    model.compile("sgd", "mse")
    model.train_on_batch(x, np.ones(8))
    model.train_on_batch(x, np.ones(8))
    assert layer.window.numpy() == 2
    assert kernel(layer).shape == tuple(inner.weights[0].shape)
    assert inner.weights[0] is layer.written()


def test_masks_of_an_embedding_pass():
    layer = BayesianSparsityDropout(kl.Embedding(7, 3, mask_zero=True))
    out = layer(np.array([[1, 0, 2]]))
    mask = ops.convert_to_numpy(out._keras_mask)
    assert mask.tolist() == [[True, False, True]]


def test_mixed_precision_notes_in_full():
    """The weights are counted in float32, not in what the layer computes in."""
    policy = keras.DTypePolicy("mixed_bfloat16")
    inner = kl.Dense(3, dtype=policy)
    layer = BayesianSparsityDropout(inner, dtype=policy, warmup=1, seed=0)
    y = layer(X, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    written = inner.kernel.numpy()
    assert not np.array_equal(
        written,
        ops.convert_to_numpy(ops.cast(ops.cast(written, "bfloat16"), "float32")),
    )
    np.testing.assert_array_equal(layer.mean.numpy(), written)
    np.testing.assert_array_equal(layer.last.numpy(), written)


def test_frozen_it_is_as_in_inference():
    layer = BayesianSparsityDropout(kl.Dense(3), every=1, warmup=1, ramp=1)
    layer.build((None, 6))
    layer.trainable = False
    before = state(layer)
    layer(X, training=True)
    after = state(layer)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_figures_and_logs(tmp_path):
    """Of a run in memory: the picture of all layers comes once."""
    pytest.importorskip("matplotlib")
    from types import SimpleNamespace

    first, second = (
        BayesianSparsityDropout(kl.Dense(2), name=name) for name in ("one", "two")
    )
    keras.Sequential([keras.Input((3,)), first, second])
    columns = {"one_left": [1.0, 0.5], "val_one_left": [1, 1], "two_left": [1.0, 0.2]}
    run = SimpleNamespace(history={"epoch": [1, 2], **columns})
    titles = [list(layer.figures(run)) for layer in (first, second)]
    assert titles == [
        ["Weights left by epoch", "Kernel of one", "Weights of one"],
        ["Kernel of two", "Weights of two"],
    ]
    shown = first.figures(run)["Weights left by epoch"].axes[0].get_lines()
    assert [line.get_label() for line in shown] == ["one", "two"]
    assert first.figures(run)["Weights of one"][0]["left"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prior": "gauss"}, "'jeffreys' or 'laplace'. Received: prior='gauss'"),
        ({"gamma": 0}, "greater than 0. Received: gamma=0"),
        ({"gamma": -1.0}, "greater than 0. Received: gamma=-1.0"),
        ({"gamma": float("nan")}, "finite number, greater than 0. Received: gamma=nan"),
        ({"level": 0.0}, "greater than 0. Received: level=0.0"),
        ({"strength": -0.1}, "at least 0. Received: strength=-0.1"),
        (
            {"strength": float("inf")},
            "finite number, at least 0. Received: strength=inf",
        ),
        ({"warmup": 0}, "at least 1. Received: warmup=0"),
        ({"ramp": 0}, "at least 1. Received: ramp=0"),
        ({"every": 0}, "at least 1. Received: every=0"),
    ],
)
def test_bad_values(arguments, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        BayesianSparsityDropout(kl.Dense(1), **arguments)


@pytest.mark.parametrize(
    "arguments", [{"gamma": "1"}, {"strength": True}, {"warmup": 1.5}, {"every": True}]
)
def test_bad_types(arguments):
    with pytest.raises(TypeError, match=r"must be an? .*Received: "):
        BayesianSparsityDropout(kl.Dense(1), **arguments)


def test_a_strength_of_zero_is_no_pull():
    assert BayesianSparsityDropout(kl.Dense(1), strength=0).strength == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: kl.ReLU(), ValueError, "one of Dense, .* Received: a ReLU"),
        (lambda: kl.LSTM(2), ValueError, "Received: a LSTM, .* those of its layers"),
        (lambda: kl.Conv2DTranspose(2, 2), ValueError, "a Conv2DTranspose"),
        (lambda: "Dense", TypeError, "must be a layer .* Received: layer='Dense'"),
        (
            lambda: kl.Dense(1, kernel_regularizer="l2"),
            ValueError,
            "no `kernel_regularizer`.* leave it out",
        ),
        (
            lambda: kl.Embedding(2, 1, embeddings_constraint="unit_norm"),
            ValueError,
            "no `embeddings_constraint`",
        ),
    ],
)
def test_what_cannot_be_wrapped(make, error, message):
    with pytest.raises(error, match=message):
        BayesianSparsityDropout(make())


def test_lora_after_wrapping_is_told():
    model, layer = compiled()
    layer.layer.enable_lora(2)
    with pytest.raises(ValueError, match=r"own weights in full.*do that after"):
        model(X)
    inner = kl.Dense(3)
    layer = BayesianSparsityDropout(inner)
    inner.build((None, 6))
    inner.enable_lora(2)
    with pytest.raises(ValueError, match=r"own weights in full.*do that after"):
        layer.build((None, 6))


REPLICAS = """
    import os, sys
    import keras, numpy as np, tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    from keras_dlparts.layers import BayesianSparsityDropout
    random = np.random.default_rng(0)
    x = random.normal(size=(256, 6)).astype("float32")
    y = (x[:, :1] - x[:, 3:4] + 0.3 * random.normal(size=(256, 1))).astype("float32")

    class Model(keras.Sequential):
        pass

    def trained(strategy, ramp, **more):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            layer = BayesianSparsityDropout(
                keras.layers.Dense(1), warmup=2, ramp=ramp, seed=0, **more
            )
            model = keras.Sequential([keras.Input((6,)), layer])
            model.compile(keras.optimizers.Adam(0.02), "mse")
        model.fit(x, y, batch_size=32, epochs=8, shuffle=False, verbose=0)
        return layer

    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    one = tf.distribute.get_strategy()
    # No draws: with p = 0 up to rounding, the replicas together are one device.
    layers = [trained(s, 1000, strength=100.0) for s in (one, two)]
    for a, b in zip(*[layer.weights for layer in layers]):
        np.testing.assert_allclose(
            a.numpy(), b.numpy(), rtol=2e-3, atol=2e-4, err_msg=a.path
        )
    assert np.abs(layers[0].pulled.numpy()).max() > 1e-3
    # With draws: the replicas agree on every weight and on what is shut down.
    layer = trained(two, 2, strength=4.0)
    for variable in layer.weights:
        values = two.experimental_local_results(variable.value)
        assert len(values) == 2, variable.path
        np.testing.assert_array_equal(*[v.numpy() for v in values])
    print("left", layer.counts())
"""


@pytest.mark.study
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="MirroredStrategy is TensorFlow's"
)
def test_two_replicas_train_as_one():
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REPLICAS)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    left = int(found.stdout.split("(")[1].split(",")[0])
    assert 2 <= left < 6


DOUBLE = [] if backend.name() == "jax" else ["float64"]  # which JAX has not by default


@pytest.mark.parametrize("dtype", ["bfloat16", *DOUBLE])
def test_the_wrapped_layer_may_have_another_dtype(dtype):
    inner = kl.Dense(3, dtype=dtype, kernel_initializer="glorot_uniform")
    model, layer = compiled(inner)
    model.fit(X, Y, epochs=3, verbose=0)
    assert layer.written().dtype == dtype
    assert np.isfinite(model.predict(X, verbose=0).astype("float32")).all()
    keras_dlparts.strip(model)
