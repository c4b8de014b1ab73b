"""The smoothness of the loss along the path, and the clipping that is set by it."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.callbacks import (
    GradientFlow,
    RelaxedSmoothnessClipping,
    SmoothnessTrace,
)
from keras_dlparts.callbacks.relaxed_smoothness_clipping import constants, fit_constants
from keras_dlparts.callbacks.smoothness_trace import correlation, local_smoothness
from keras_dlparts.optimizers import Clipped, FixedNorm, RelaxedSmoothness

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 3)).astype("float32")
Y = RANDOM.normal(size=(16, 1)).astype("float32")


def linear_model(optimizer=None, units=1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])
    model.compile(optimizer or keras.optimizers.SGD(0.05), "mse")
    return model


def test_smoothness_of_a_quadratic_is_its_curvature_along_the_step():
    """f = x'Ax/2: ||A d|| / ||d||, whatever delta is; checked with a full matrix."""
    A = RANDOM.normal(size=(4, 4))
    A = A @ A.T
    x, d = RANDOM.normal(size=(2, 4))
    size, smoothness = local_smoothness(lambda v: [A @ v[0]], [x], [x + d], [0.3, 1.0])
    assert size == pytest.approx(np.linalg.norm(A @ x))
    assert smoothness == pytest.approx(np.linalg.norm(A @ d) / np.linalg.norm(d))


def test_smoothness_is_the_largest_over_the_deltas():
    """f = x^4 / 4 from 1 to 2: g(1 + t) - g(1) = 3t + 3t^2 + t^3, so 3 + 3t + t^2."""
    deltas = [0.5, 1.0, 0.25]
    _, found = local_smoothness(
        lambda v: [v[0] ** 3], [np.ones(1)], [np.array([2.0])], deltas
    )
    assert found == pytest.approx(3 + 3 + 1)


def test_a_tiny_step_is_stretched_and_none_is_no_measurement():
    start = [np.array([1.0, 0.0], "float32")]

    def gradient(v):
        return [np.float32(3) * v[0]]

    end = [start[0] + np.array([3e-7, 0], "float32")]
    _, found = local_smoothness(gradient, start, end, [0.5])
    assert found == pytest.approx(3, rel=1e-2)
    assert local_smoothness(gradient, start, start, [0.5]) == (3, None)


def test_trace_of_a_linear_model_is_the_curvature_of_its_loss():
    """For the mean square, H = 2/n [X 1]'[X 1], and d is along the gradient."""
    model, trace = linear_model(), SmoothnessTrace(data=(X, Y), every=4)
    path = [np.concatenate([w.ravel() for w in model.get_weights()])]
    keep = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: (
            backend.name() == "jax" and model.jax_state_sync(),
            path.append(np.concatenate([w.ravel() for w in model.get_weights()])),
        )
    )
    model.fit(X, Y, batch_size=16, epochs=10, verbose=0, callbacks=[trace, keep])
    assert trace.history["step"] == [0, 1, 2, 4, 8]
    inputs = np.hstack([X, np.ones((16, 1))])
    for i, step in enumerate(trace.history["step"]):
        d = path[step + 1] - path[step]
        bend = 2 / 16 * inputs.T @ (inputs @ d)
        gradient = 2 / 16 * inputs.T @ (inputs @ path[step] - Y[:, 0])
        expected = np.linalg.norm(bend) / np.linalg.norm(d)
        assert trace.history["smoothness"][i] == pytest.approx(expected, rel=1e-3)
        expected = np.linalg.norm(gradient)
        assert trace.history["gradient_norm"][i] == pytest.approx(expected, rel=1e-3)


@pytest.mark.long
@pytest.mark.skipif(backend.name() == "torch", reason="Keras takes one step a call")
@pytest.mark.parametrize("kind", [SmoothnessTrace, RelaxedSmoothnessClipping])
def test_a_call_of_several_steps_is_noted_at_its_first(kind, monkeypatch):
    """As `GradientFlow` does; the batch is the one of that step too."""
    model = linear_model()
    model.compile(keras.optimizers.SGD(0.01), "mse", steps_per_execution=2)
    batches = [(X[i : i + 2], Y[i : i + 2]) for i in range(0, 10, 2)]
    trace, flow = kind(data=batches, every=1), GradientFlow(data=batches, every=1)
    looked_at = set()
    find = trace.batch
    monkeypatch.setattr(trace, "batch", lambda i: looked_at.add(i) or find(i))
    settings = {"batch_size": 2, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(X[:10], Y[:10], callbacks=[trace, flow], **settings)
    steps = [0, 2, 4, 5, 7, 9]
    assert flow.history["step"] == steps
    assert trace.history["step"][-len(steps) :] == steps
    assert looked_at == {*steps}


class Noisy(keras.layers.Layer):
    """Draws in training, from a seed of its own."""

    def __init__(self):
        super().__init__()
        self.seed = backend.SeedGenerator(3)

    def call(self, inputs, training=None):
        if not training:
            return inputs
        return inputs * keras.random.uniform(ops.shape(inputs), seed=self.seed)


def noisy_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
            Noisy(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


@pytest.mark.long
def test_training_is_as_if_nothing_had_been_measured():
    """Draws, moving averages, optimizer, metrics: bit for bit."""

    def trained(callbacks):
        model = noisy_model()
        history = model.fit(
            X, Y, batch_size=4, epochs=3, verbose=0, shuffle=False, callbacks=callbacks
        )
        rows = {k: history.history[k] for k in ("loss", "mae")}
        return rows, [v.numpy() for v in [*model.variables, *model.optimizer.variables]]

    rows, values = trained([])
    measured_rows, measured = trained([SmoothnessTrace(every=2, data=(X, Y))])
    assert rows == measured_rows
    for one, other in zip(values, measured, strict=True):
        np.testing.assert_array_equal(one, other)


def test_all_passes_of_a_measurement_draw_the_same():
    """With the masks drawn anew, the smoothness of this model would come out random;
    it is linear in its last layer, whose curvature for given masks is known."""
    model = keras.Sequential(
        [keras.Input((3,)), Noisy(), keras.layers.Dense(1, use_bias=False)]
    )
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    trace = SmoothnessTrace(every=1, data=(X, Y))
    model.fit(X, Y, batch_size=16, verbose=0, callbacks=[trace])
    # The largest curvature of 2/n X'X bounds it with all masks at 1.
    most = 2 / 16 * np.linalg.norm(X.T @ X, 2)
    assert 0 < trace.history["smoothness"][0] <= most
    # Different masks change the gradient itself: over a step of 1e-4 that is huge.


def test_logs_are_the_means_of_the_epoch():
    model, trace = linear_model(), SmoothnessTrace(every=3, data=(X, Y))
    logs = model.fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[trace]).history
    assert trace.history["step"] == [0, 1, 2, 4, 7, 10]
    for name in ("gradient_norm", "smoothness"):
        values = trace.history[name]
        means = [np.mean(values[:3]), np.mean(values[3:5]), np.mean(values[5:])]
        np.testing.assert_allclose(logs[name], means)


def test_step_that_does_not_move_is_left_out():
    model = linear_model(keras.optimizers.SGD(0.0))
    trace = SmoothnessTrace(every=1, data=(X, Y))
    logs = model.fit(X, Y, batch_size=4, verbose=0, callbacks=[trace]).history
    assert trace.history["step"] == []
    assert "smoothness" not in logs
    assert trace.figures(None) == {}


def test_constants_of_exact_measurements_are_found():
    n = np.geomspace(0.01, 100, 30)
    for L0, L1 in ((2.0, 0.5), (0.0, 3.0), (4.0, 0.0), (1e-3, 7.0)):
        found = fit_constants(n, L0 + L1 * n)
        np.testing.assert_allclose(found, (L0, L1), rtol=1e-4, atol=1e-6)


def test_constants_are_robust_and_never_negative():
    n = np.geomspace(0.01, 100, 40)
    L = (2 + 0.5 * n) * np.exp(0.1 * RANDOM.normal(size=40))
    L[::8] *= 50  # one in eight is far off
    L0, L1 = fit_constants(n, L)
    assert pytest.approx(2, rel=0.15) == L0
    assert pytest.approx(0.5, rel=0.15) == L1
    for falling in (10 / n, 10 - 0.05 * n):
        L0, L1 = fit_constants(n, falling)
        assert L0 > 0
        assert L1 == 0
    assert fit_constants(np.ones(3), np.zeros(3)) == (0, 0)
    assert fit_constants(np.zeros(3), np.ones(3)) == (1, 0)


def test_first_measurements_are_taken_as_bounds():
    assert constants([2.0], [6.0]) == (6, 3)
    assert constants([2.0, 1.0], [6.0, 4.0]) == (6, 4)
    assert constants([0.0], [6.0]) == (6, 0)
    assert constants([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == pytest.approx((0, 1))


def test_correlation_is_of_the_logarithms():
    n = np.array([1.0, 10.0, 100.0])
    history = {"gradient_norm": n, "smoothness": n**2}
    assert correlation(history) == pytest.approx(1)
    assert correlation({**history, "smoothness": 1 / n}) == pytest.approx(-1)
    assert correlation({**history, "smoothness": np.ones(3)}) is None


def settings(**more):
    return {"batch_size": 4, "verbose": 0, "shuffle": False, **more}


def test_clipping_sets_the_threshold_by_what_it_measured():
    """The rule's variables are the fit's, and the step uses them: with a factor so
    large that every step is cut, each is min(1, 1 / (m L1)) long."""
    model = linear_model(keras.optimizers.SGD(0.5), units=1)
    clipping = RelaxedSmoothnessClipping(every=1, safety=1e6, data=(X, Y))
    lengths, kept = [], []

    def measure(batch, logs):
        if backend.name() == "jax":
            model.jax_state_sync()
        weights = np.concatenate([w.ravel() for w in model.get_weights()])
        if kept:
            lengths.append(float(np.linalg.norm(weights - kept[-1])))
        kept.append(weights)

    model.add(keras.layers.Activation("softplus"))
    model.compile(model.optimizer, "mse")
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=measure)
    logs = model.fit(
        X, Y, epochs=4, callbacks=[watch, clipping], **settings(batch_size=16)
    ).history
    assert isinstance(model.optimizer, Clipped)
    assert clipping.history["step"] == [0, 0, 1, 2, 3]
    L0, L1 = clipping.history["L0"][-1], clipping.history["L1"][-1]
    norms, bends = (clipping.history[k] for k in ("gradient_norm", "smoothness"))
    assert constants(norms, bends) == (L0, L1)
    assert logs["L0"][-1] == pytest.approx(L0)
    assert logs["L1"][-1] == pytest.approx(L1)
    # Three steps, each by the constants of the measurement before it.
    for length, known in zip(lengths, clipping.history["L1"][1:], strict=False):
        assert length <= min(1, 1 / (1e6 * known) if known else 1) * 1.1


@pytest.mark.long
def test_threshold_moves_without_a_new_trace():
    traces = []

    class Counted(keras.layers.Layer):
        def call(self, inputs):
            traces.append(1)
            return inputs

    model = linear_model()
    model.add(Counted())
    jit = backend.can_compile()
    model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=jit)
    counts = []
    count = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: counts.append(len(traces))
    )
    clipping = RelaxedSmoothnessClipping(every=2, data=(X, Y))
    logs = model.fit(X, Y, epochs=4, callbacks=[clipping, count], **settings()).history
    assert len(set(logs["L0"])) > 1
    if backend.name() != "torch":  # which calls the layer in every step
        assert len(set(counts)) == 1


@pytest.mark.long
def test_put_around_an_optimizer_in_use_it_changes_nothing_but_the_clipping():
    """With a factor of nearly nothing, steps are those of the optimizer alone."""
    models = (
        linear_model(keras.optimizers.Adam(0.1)),
        linear_model(keras.optimizers.Adam(0.1)),
    )
    for model in models:
        model.fit(X, Y, epochs=2, **settings())
    clipping = RelaxedSmoothnessClipping(every=100, safety=1e-9, data=(X, Y))
    models[0].fit(X, Y, callbacks=[clipping], **settings(batch_size=8))
    models[1].fit(X, Y, **settings(batch_size=8))
    assert int(models[0].optimizer.iterations) == 10
    for one, other in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_array_equal(one, other)
    # And again: the rule in place is used, not a second one.
    rule = clipping.rule
    again = RelaxedSmoothnessClipping(every=1, data=(X, Y))
    models[0].fit(X, Y, callbacks=[again], **settings())
    assert again.rule is rule


@pytest.mark.long
def test_saved_model_goes_on_clipping(tmp_path):
    model = linear_model()
    clipping = RelaxedSmoothnessClipping(every=1, data=(X, Y))
    model.fit(X, Y, epochs=2, callbacks=[clipping], **settings())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer.by, RelaxedSmoothness)
    for name in ("L0", "L1"):
        kept = float(getattr(clipping.rule, name))
        assert kept == float(getattr(loaded.optimizer.by, name)) != -1
    for each in (model, loaded):
        each.fit(X, Y, epochs=2, **settings())
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_under_loss_scaling_the_rule_stands_inside():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), 64.0)
    model = linear_model(optimizer)
    clipping = RelaxedSmoothnessClipping(every=1, data=(X, Y))
    logs = model.fit(X, Y, epochs=2, callbacks=[clipping], **settings()).history
    assert isinstance(model.optimizer.inner_optimizer, Clipped)
    # The norm that the rule sees is that of the unscaled gradient of the last batch.
    assert float(clipping.rule.gradient_norm) < 10 * max(logs["gradient_norm"])


def test_another_rule_is_not_overruled():
    model = linear_model(Clipped(keras.optimizers.SGD(0.1), by=FixedNorm()))
    with pytest.raises(ValueError, match="clips by FixedNorm"):
        model.fit(
            X, Y, callbacks=[RelaxedSmoothnessClipping(data=(X, Y))], **settings()
        )


def test_embeddings_are_measured_too():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((2,), dtype="int32"),
            keras.layers.Embedding(5, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = RANDOM.integers(0, 5, (16, 2))
    trace = SmoothnessTrace(every=1, data=(x, Y))
    model.fit(x, Y, callbacks=[trace], **settings())
    assert len(trace.history["step"]) == 4
    assert np.isfinite(trace.history["smoothness"]).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SmoothnessTrace(every=0), ValueError, "`every` must be at least 1"),
        (lambda: SmoothnessTrace(every=1.0), TypeError, "`every` must be an integer"),
        (lambda: SmoothnessTrace(deltas=()), ValueError, "at least one"),
        (lambda: SmoothnessTrace(deltas=(0,)), ValueError, "greater than 0"),
        (lambda: SmoothnessTrace(deltas=0.5), ValueError, "at least one"),
        (lambda: SmoothnessTrace(data=X), TypeError, r"must be a batch \(x, y\)"),
        (lambda: RelaxedSmoothnessClipping(window=2), ValueError, "at least 3"),
        (lambda: RelaxedSmoothnessClipping(safety=0), ValueError, "`safety` must be"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_without_data_it_says_what_to_give():
    with pytest.raises(ValueError, match="SmoothnessTrace needs a batch"):
        linear_model().fit(X, Y, callbacks=[SmoothnessTrace()], verbose=0)


def test_figures_are_the_decks():
    pytest.importorskip("matplotlib")
    model = linear_model(units=1)
    model.add(keras.layers.Activation("softplus"))
    model.compile("sgd", "mse")
    for callback in (
        SmoothnessTrace(every=1, data=(X, Y)),
        RelaxedSmoothnessClipping(every=1, data=(X, Y)),
    ):
        model.fit(X, Y, epochs=3, callbacks=[callback], **settings())
        (figure,) = callback.figures(None).values()
        axes = figure.axes[0]
        drawn = axes.collections[0].get_offsets()
        np.testing.assert_allclose(drawn[:, 0], callback.history["gradient_norm"])
        np.testing.assert_allclose(drawn[:, 1], callback.history["smoothness"])
        assert axes.get_xscale() == axes.get_yscale() == "log"
        assert f"{correlation(callback.history):.2f}" in axes.get_title()


REPLICAS = """
import json
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
import numpy as np
from keras_dlparts.callbacks import RelaxedSmoothnessClipping

random = np.random.default_rng(0)
x = random.normal(size=(64, 3)).astype("float32")
y = (3 * x.sum(axis=1, keepdims=True) ** 2).astype("float32")

def trained(strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "tanh"),
                                  keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.05), "mse")
    clipping = RelaxedSmoothnessClipping(every=2, data=(x, y))
    logs = model.fit(x, y, batch_size=16, epochs=3, verbose=0, shuffle=False,
                     callbacks=[clipping]).history
    return logs, [w.tolist() for w in model.get_weights()]

two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
one = trained(tf.distribute.get_strategy())
print(json.dumps([one, two]))
"""


@pytest.mark.slow
@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute")
def test_two_replicas_measure_and_clip_as_one_device():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (logs, weights), (two_logs, two_weights) = json.loads(done.stdout.splitlines()[-1])
    assert logs["clipped_fraction"][-1] > 0
    for name, values in logs.items():
        np.testing.assert_allclose(values, two_logs[name], rtol=1e-3)
    for one, other in zip(weights, two_weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
