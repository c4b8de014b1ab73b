"""DiagonalNewton against a slow twin, its estimates against the Hessian itself."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.callbacks import HutchinsonCurvature
from keras_dlparts.callbacks.hutchinson_curvature import diagonal
from keras_dlparts.layers import RandomDropout
from keras_dlparts.optimizers import DiagonalNewton

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 4)).astype("float32")
Y = RANDOM.normal(size=(12, 2)).astype("float32")


class Twin:
    """The formula, one step at a time, in float64."""

    def __init__(self, x, rate, beta_1, beta_2, epsilon, clip):
        self.x, self.m, self.s, self.t, self.k = x, 0 * x, 0 * x, 0, 0
        self.rate, self.betas, self.epsilon, self.clip = (
            rate,
            (beta_1, beta_2),
            epsilon,
            clip,
        )

    def estimate(self, d):
        self.k += 1
        self.s = self.betas[1] * self.s + (1 - self.betas[1]) * d**2

    def step(self, g):
        self.t += 1
        self.m = self.betas[0] * self.m + (1 - self.betas[0]) * g
        h = 1.0
        if self.k:
            h = np.sqrt(self.s / (1 - self.betas[1] ** self.k)) + self.epsilon
        step = self.m / (1 - self.betas[0] ** self.t) / h
        clip = np.inf if self.clip is None else self.clip
        self.x = self.x - self.rate * np.minimum(np.maximum(step, -clip), clip)


@pytest.mark.parametrize(
    ("beta_1", "beta_2", "epsilon", "clip"),
    [(0.9, 0.99, 1e-7, 1.0), (0.0, 0.5, 1e-2, None), (0.5, 0.0, 1e-4, 0.3)],
)
def test_a_hundred_steps_are_those_of_the_twin(beta_1, beta_2, epsilon, clip):
    """Estimates come at steps 3, 13, 23, ...; before them it is gradient descent."""
    random = np.random.default_rng(1)
    start = random.normal(size=(3, 2))
    twin = Twin(start, 0.1, beta_1, beta_2, epsilon, clip)
    weight = keras.Variable(start.astype("float32"))
    optimizer = DiagonalNewton(0.1, beta_1, beta_2, epsilon, clip)
    optimizer.build([weight])
    for step in range(100):
        if step % 10 == 3:
            d = random.normal(size=(3, 2))
            optimizer.update_curvature([d.astype("float32")])
            twin.estimate(d)
        g = random.normal(size=(3, 2))
        optimizer.apply([ops.convert_to_tensor(g.astype("float32"))])
        twin.step(g)
        np.testing.assert_allclose(weight.numpy(), twin.x, rtol=1e-4, atol=1e-4)


def quadratic(scales):
    """L = mean_i (a_i w_i)^2, so H = diag(2 a^2 / n)."""
    n = len(scales)
    model = keras.Sequential([keras.Input((n,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.full((n, 1), 3.0)])
    x = np.diag(np.asarray(scales, "float32"))
    return model, (x, np.zeros((n, 1), "float32")), 2 * np.asarray(scales) ** 2 / n


def test_hutchinson_is_exact_on_a_diagonal_quadratic_and_newton_is_there_at_once():
    model, batch, hessian = quadratic([1.0, 10.0, 0.1, 100.0])
    optimizer = DiagonalNewton(1.0, beta_1=0.0, clip=None)
    model.compile(optimizer, "mse")
    curvature = HutchinsonCurvature(every=1, data=batch)
    model.fit(*batch, batch_size=4, epochs=1, verbose=0, callbacks=[curvature])
    found = np.sqrt(optimizer.curvatures[0].numpy().ravel() / (1 - optimizer.beta_2))
    np.testing.assert_allclose(found, hessian, rtol=1e-5)
    np.testing.assert_allclose(model.get_weights()[0], 0, atol=1e-4)


def test_the_estimate_has_the_mean_and_variance_of_the_formula():
    """n draws: the mean is within 5 sqrt(sum_{j != i} H_ij^2 / n) of H_ii."""
    random, n = np.random.default_rng(2), 4000
    h = random.normal(size=(5, 5))
    h = h + h.T
    signs = [[random.choice([-1.0, 1.0], 5)] for _ in range(n)]
    (found,) = diagonal(lambda v: [h @ v[0]], signs)
    sd = np.sqrt((h**2).sum(axis=1) - np.diag(h) ** 2)
    assert (abs(found - np.diag(h)) < 5 * sd / np.sqrt(n)).all()
    assert (abs(found - np.diag(h)) > 0).all()


def net(**more):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, "tanh"),
            keras.layers.BatchNormalization(),
            RandomDropout(0.3, seed=1),
            keras.layers.Dense(2),
        ]
    )
    model.compile(DiagonalNewton(0.01, **more), "mse")
    return model


def fit(model, *callbacks, epochs=2):
    return model.fit(
        X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks
    ).history["loss"]


class Spy(keras.callbacks.Callback):
    """Notes how many estimates there are at each step."""

    def on_train_begin(self, logs=None):
        self.estimates = []

    def on_train_batch_end(self, batch, logs=None):
        self.estimates.append(int(self.model.optimizer.estimates))


def test_estimates_come_every_nth_step_over_the_epochs():
    spy = Spy()
    fit(net(), HutchinsonCurvature(every=4, data=(X, Y)), spy, epochs=3)
    assert spy.estimates == [1, 1, 1, 1, 2, 2, 2, 2, 3]


@pytest.mark.long
def test_a_loaded_model_goes_on_as_if_never_stopped(tmp_path):
    """Two epochs of three steps, every 2: the second epoch begins between estimates.

    Keras saves no seeds, so the masks are set to those of the epoch by hand.
    """

    def epoch(model, number):
        model.layers[2].seed_generator.state.assign([number, 0])
        spy = Spy()
        fit(model, HutchinsonCurvature(every=2, data=(X, Y)), spy, epochs=1)
        return spy.estimates

    model = net()
    assert epoch(model, 0) == [1, 1, 2]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert epoch(model, 1) == epoch(loaded, 1) == [2, 3, 3]
    for ours, theirs in zip(
        [*model.weights, *model.optimizer.variables],
        [*loaded.weights, *loaded.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_each_estimate_is_drawn_anew():
    """At a fixed point, so that only the draws differ."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(DiagonalNewton(0.0, beta_2=0.0), "mse")
    found = []
    for _ in range(2):
        fit(model, HutchinsonCurvature(every=3, data=(X, Y)), epochs=1)
        found.append(model.optimizer.curvatures[0].numpy())
    assert not np.array_equal(*found)


@pytest.mark.long
def test_measuring_leaves_all_but_the_curvature():
    """With a learning rate so small that no estimate moves a weight."""
    plain, watched = net(), net()
    for model in (plain, watched):
        model.optimizer.learning_rate = 0.0
    losses = fit(plain)
    assert fit(watched, HutchinsonCurvature(every=1, data=(X, Y))) == losses
    for ours, theirs in zip(watched.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert watched.optimizer.curvatures[0].numpy().any()
    assert not plain.optimizer.curvatures[0].numpy().any()


def test_curvature_taken_in_training_takes_effect_without_a_retrace():
    """The step after an estimate divides by it, in the step compiled before."""
    traces = []

    class Counted(DiagonalNewton):
        def update_step(self, *arguments):
            traces.append(1)
            super().update_step(*arguments)

    model, batch, _ = quadratic([1.0, 2.0])
    model.compile(Counted(0.5, beta_1=0.0, beta_2=0.0, clip=None), "mse")
    moves = []

    class Once(keras.callbacks.Callback):
        def on_train_batch_begin(self, step, logs=None):
            with backend.unmoved(self.model):
                moves.append(self.model.get_weights()[0].copy())
                if len(moves) == 3:
                    self.model.optimizer.update_curvature([np.full((2, 1), 1e6)])
                if len(moves) == 3 or len(moves) == 1:
                    traces.clear()

    model.fit(*batch, batch_size=2, epochs=4, verbose=0, callbacks=[Once()])
    assert backend.name() == "torch" or not traces
    assert abs(moves[2] - moves[1]).max() > 0.1
    assert abs(moves[3] - moves[2]).max() < 1e-4


def test_an_embedding_steps_and_has_its_curvature():
    """L = mean of (w_r - y)^2 over n entries: each use of row r adds 2 / n to H."""
    model = keras.Sequential(
        [keras.Input((2,), dtype="int32"), keras.layers.Embedding(4, 3)]
    )
    optimizer = DiagonalNewton(1.0, beta_1=0.0, beta_2=0.0, clip=None)
    model.compile(optimizer, "mse")
    x, y = np.array([[1, 1], [3, 1]]), np.ones((2, 2, 3), "float32")
    curvature = HutchinsonCurvature(every=1, data=(x, y))
    model.fit(x, y, verbose=0, callbacks=[curvature])
    uses = np.array([0, 3, 0, 1])
    found = np.sqrt(optimizer.curvatures[0].numpy())
    np.testing.assert_allclose(found, np.outer(uses, np.ones(3)) / 6, rtol=1e-5)
    weights = model.get_weights()[0]
    np.testing.assert_allclose(weights[[1, 3]], 1, rtol=1e-5)
    assert abs(weights[[0, 2]]).max() < 0.1


def test_it_is_found_inside_wrappers():
    model = net()
    inner = model.optimizer
    model.compile(keras.optimizers.LossScaleOptimizer(inner), "mse")
    fit(model, HutchinsonCurvature(every=1, data=(X, Y)), epochs=1)
    assert int(inner.estimates) == 3


@pytest.mark.long
def test_it_gets_down_an_ill_conditioned_valley_where_gradient_descent_does_not():
    """Condition 1e6: at the largest stable rate the flat direction stands still."""
    losses = {}
    for name in ("newton", "descent"):
        model, batch, hessian = quadratic([1.0, 1000.0])
        optimizer = DiagonalNewton(0.5, beta_1=0.0, clip=None)
        if name == "descent":
            optimizer = keras.optimizers.SGD(1 / hessian.max())
        model.compile(optimizer, "mse")
        calls = [HutchinsonCurvature(data=batch)] if name == "newton" else []
        model.fit(*batch, batch_size=2, epochs=20, verbose=0, callbacks=calls)
        losses[name] = model.evaluate(*batch, verbose=0)
    assert losses["newton"] < 1e-4
    assert losses["descent"] > 4  # (1 * 3)^2 / 2, the flat direction's part, at first


@pytest.mark.parametrize(
    ("argument", "good", "bad"),
    [
        ("beta_1", [0.0, 0.999], [-1e-9, 1.0]),
        ("beta_2", [0.0, 0.999], [-1e-9, 1.0]),
        ("epsilon", [1e-12], [0.0, -1e-9]),
        ("clip", [None, 1e-12], [0.0, -1.0]),
    ],
)
def test_arguments_at_their_bounds(argument, good, bad):
    for value in good:
        DiagonalNewton(**{argument: value})
    for value in bad:
        with pytest.raises(
            ValueError, match=f"`{argument}` must .*Received: {argument}"
        ):
            DiagonalNewton(**{argument: value})


def test_bad_uses():
    with pytest.raises(ValueError, match="no variables yet"):
        DiagonalNewton().update_curvature([])
    for argument, least in (("every", 1), ("draws", 1), ("seed", 0)):
        HutchinsonCurvature(**{argument: least})
        with pytest.raises(ValueError, match=f"`{argument}` must be at least {least}"):
            HutchinsonCurvature(**{argument: least - 1})
        with pytest.raises(TypeError, match="an integer"):
            HutchinsonCurvature(**{argument: 1.0})
    with pytest.raises(TypeError, match="a batch"):
        HutchinsonCurvature(data=X)
    with pytest.raises(ValueError, match="needs a batch"):
        fit(net(), HutchinsonCurvature())
    model = net()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"needs an optimizer with.*Received: SGD"):
        fit(model, HutchinsonCurvature(data=(X, Y)))


TWO_REPLICAS = """
import contextlib
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
import subprocess
import sys

import keras
import numpy as np
from keras_dlparts.callbacks import HutchinsonCurvature
from keras_dlparts.optimizers import DiagonalNewton

random = np.random.default_rng(0)
x, y = random.normal(size=(2, 16, 4)).astype("float32")
two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
found = []
for scope in (contextlib.nullcontext(), two.scope()):
    with scope:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, "tanh")])
        model.compile(DiagonalNewton(0.05), "mse")
    start = model.get_weights()[0]
    calls = [HutchinsonCurvature(every=2, data=(x, y))]
    model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=calls)
    found.append(model.get_weights()[0])
    print(model.optimizer.estimates.numpy(), abs(found[-1] - start).max())
print(abs(found[0] - found[1]).max())
"""


@pytest.mark.study
@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute")
def test_two_replicas_equal_one_device():
    """A new process, for logical devices are made before TensorFlow starts."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    one, two, apart = done.stdout.splitlines()[-3:]
    assert one.split()[0] == two.split()[0] == "3"
    assert float(one.split()[1]) > 0.01
    assert float(apart) < 1e-6
