"""Newton-CG against dense linear algebra, and on functions with known minima."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_dlparts
from keras_dlparts import backend
from keras_dlparts.layers import RandomDropout
from keras_dlparts.optimizers.newton_cg import _next_damping, conjugate_gradients
from keras_dlparts.support import progress


class Point(keras.layers.Layer):
    """Its output is its weight, whatever the input: a function's argument."""

    def __init__(self, start, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, shape):
        start = keras.initializers.Constant(self.start)
        self.point = self.add_weight(shape=(len(self.start),), initializer=start)

    def call(self, x):
        return 0 * x + self.point


def function(f, start):
    """A model whose loss on `BATCH` is f at its only weight."""
    model = keras.Sequential([keras.Input((len(start),)), Point(start)])
    model.compile(loss=lambda _, point: f(*(point[:, i] for i in range(len(start)))))
    return model, np.zeros((1, len(start)), "float32")


def minimise(f, start, **more):
    model, x = function(f, start)
    history = keras_dlparts.newton(model, x, x, **more)
    return model.get_weights()[0], history


def symmetric(values, seed=0):
    random = np.random.default_rng(seed)
    q, _ = np.linalg.qr(random.normal(size=(len(values), len(values))))
    return q @ np.diag(values) @ q.T, random.normal(size=len(values))


def test_conjugate_gradients_solve_in_as_many_steps_as_there_are_curvatures():
    a, g = symmetric([1, 1, 1, 50, 50, 1000])
    p, steps, curvature = conjugate_gradients(lambda v: a @ v, g, 1e-10, 100)
    np.testing.assert_allclose(p, -np.linalg.solve(a, g), rtol=1e-6)
    assert (steps, curvature) == (3, 0.0)
    assert conjugate_gradients(lambda v: a @ v, g, 1e-10, 2)[1] == 2
    # The tolerance is relative to g.
    for scale in (1e-6, 1, 1e6):
        p, steps, _ = conjugate_gradients(lambda v: a @ v, scale * g, 1e-5, 100)
        assert steps == 3


def test_conjugate_gradients_stop_where_it_curves_down():
    a, g = symmetric([30, 20, 10, -1])
    p, steps, curvature = conjugate_gradients(lambda v: a @ v, g, 1e-10, 100)
    assert 1 < steps <= 4
    assert -1.001 <= curvature < 0
    before = conjugate_gradients(lambda v: a @ v, g, 1e-10, steps - 1)[0]
    np.testing.assert_array_equal(p, before)
    p, steps, curvature = conjugate_gradients(lambda v: -v, g, 1e-10, 100)
    np.testing.assert_array_equal(p, -g)
    assert (steps, curvature) == (1, -1.0)


def test_a_flat_direction_is_not_one_that_curves_down():
    a, g = symmetric([1, 2, 0])
    curvatures = [
        conjugate_gradients(lambda v, s=s: a @ v - s * v, g, 0.0, 100)[2]
        for s in (1e-9, 0, -1e-9)
    ]
    assert curvatures == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_newton_arrives_in_one_step_on_an_ill_conditioned_quadratic(condition):
    """f = (x^2 + K y^2) / 2. A gradient step of the best size, 2 / (1 + K), leaves
    (K - 1) / (K + 1) of each coordinate, so after n of them that to the n."""
    point, history = minimise(
        lambda x, y: (x**2 + condition * y**2) / 2, [5.0, 1.0], iterations=1
    )
    np.testing.assert_allclose(point, 0, atol=1e-5)
    assert history["loss"][1] < 1e-10 * history["loss"][0]
    assert history["cg_iterations"][1] == (1 if condition == 1 else 2)
    assert history["step"][1] == 1.0


def logistic(n=60, d=4):
    random = np.random.default_rng(0)
    x = random.normal(size=(n, d)).astype("float32")
    y = (
        random.uniform(size=n) < 1 / (1 + np.exp(-x @ random.normal(size=d) / 2))
    ) * 1.0
    w = random.uniform(0.5, 2, size=n).astype("float32")
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((d,)), dense])
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
    return model, x, y[:, None].astype("float32"), w


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("damping", [0.0, 0.05])
def test_steps_are_those_of_the_dense_formula(weighted, damping):
    """w <- w - (X' D X / n + lambda)^{-1} X' (p - y) / n, with D = p (1 - p)."""
    model, x, y, weight = logistic()
    weight = weight if weighted else np.ones_like(weight)
    w = model.get_weights()[0].astype("float64")
    history = {"damping": [damping]}
    for _ in range(3):
        p = 1 / (1 + np.exp(-x @ w))
        h = x.T @ (weight[:, None] * p * (1 - p) * x) / len(x)
        g = x.T @ (weight[:, None] * (p - y)) / len(x)
        w = w - np.linalg.solve(h + history["damping"][-1] * np.eye(4), g)
        history = keras_dlparts.newton(
            model,
            x,
            y,
            weight if weighted else None,
            iterations=1,
            damping=history["damping"][-1],
        )
        np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-3, atol=1e-4)
        assert history["step"] == [0.0, 1.0]


def test_it_converges_and_says_why_it_stopped():
    model, x, y, _ = logistic()
    history = keras_dlparts.newton(model, x, y, tolerance=1e-5)
    assert history["stop"] == "gradient"
    assert history["gradient_norm"][-1] <= 1e-5
    assert len(history["loss"]) <= 8
    assert {len(v) for k, v in history.items() if k != "stop"} == {len(history["loss"])}
    assert keras_dlparts.newton(model, x, y, tolerance=1e-5)["step"] == [0.0]
    history = keras_dlparts.newton(model, x, y, tolerance=0.0)
    assert history["stop"] == "precision"
    assert history["gradient_norm"][-1] < 1e-6
    assert keras_dlparts.newton(*logistic()[:3], iterations=1)["stop"] == "iterations"


def test_a_last_step_that_arrives_stops_for_the_gradient():
    _, history = minimise(lambda x: x**2, [1.0], iterations=1)
    assert (history["stop"], len(history["loss"])) == ("gradient", 2)


def test_a_weight_that_the_loss_does_not_know_stays():
    class Spare(keras.layers.Dense):
        def build(self, shape):
            self.spare = self.add_weight(shape=(2,), initializer="ones")
            super().build(shape)

    model = keras.Sequential([keras.Input((2,)), Spare(1)])
    model.compile(loss="mse")
    x = np.eye(2, dtype="float32")
    assert keras_dlparts.newton(model, x, x[:, :1])["loss"][-1] < 1e-10
    np.testing.assert_array_equal(model.layers[0].spare.numpy(), 1)


def test_the_banana_valley():
    """Rosenbrock's function: min 0 at (1, 1), a bent valley, condition 2500 there."""
    point, history = minimise(
        lambda x, y: 100 * (y - x**2) ** 2 + (1 - x) ** 2, [-1.2, 1.0]
    )
    np.testing.assert_allclose(point, 1, atol=1e-3)
    assert len(history["loss"]) < 60
    assert np.diff(history["loss"]).max() <= 0
    assert 0 < min(history["step"][1:]) < 1  # the line search had work


def test_it_leaves_a_saddle_downhill():
    """f = x^4 / 4 - x^2 / 2 + y^2 / 2 curves down at x = 0.1; plain Newton would go to
    the saddle at 0. The minima are at x = 1 and -1, f = -1 / 4."""
    point, history = minimise(
        lambda x, y: x**4 / 4 - x**2 / 2 + y**2 / 2, [0.1, 1.0], tolerance=1e-4
    )
    np.testing.assert_allclose(abs(point), [1, 0], atol=1e-3)
    assert history["loss"][-1] == pytest.approx(-0.25, abs=1e-5)
    assert np.diff(history["loss"]).max() <= 0
    assert max(history["damping"]) > 0  # it was met with damping
    assert history["damping"][-1] < max(history["damping"])


def test_a_step_too_long_is_halved_and_damping_answers():
    """f = sqrt(1 + x^2) from x = 3: Newton's step is -x (1 + x^2) = -30, to f = 27.

    An eighth of it goes to f = 1.25; the model foretold a drop of 3.34, so rho = 0.57.
    """
    point, history = minimise(lambda x: ops.sqrt(1 + x**2), [3.0], tolerance=1e-4)
    assert history["step"][1] == 0.125
    assert history["ratio"][1] == pytest.approx(0.573, abs=1e-3)
    np.testing.assert_allclose(point, 0, atol=1e-3)


def test_damping_answers_what_the_model_was_worth():
    assert _next_damping(0.0, 0.24, 0.0, 50.0) == 0.05  # from nothing: 1e-3 of 50
    assert _next_damping(1.0, 0.24, 0.0, 50.0) == 4.0
    assert _next_damping(1.0, 0.25, 0.0, 50.0) == 1.0
    assert _next_damping(1.0, 0.75, 0.0, 50.0) == 1.0
    assert _next_damping(1.0, 0.76, 0.0, 50.0) == 0.25
    assert _next_damping(1e-5, 0.76, 0.0, 50.0) == 0.0
    assert _next_damping(1.0, 0.76, -2.0, 50.0) == 6.0  # the Hessian's own is -3


def noisy_net():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh"),
            keras.layers.BatchNormalization(),
            RandomDropout(0.3, seed=1),
            keras.layers.Dense(2),
        ]
    )
    model.compile("sgd", "mse", metrics=["mae"])
    random = np.random.default_rng(0)
    return model, *random.normal(size=(2, 16, 4)).astype("float32")


def test_noise_stays_the_same_and_the_models_state_as_it_was():
    model, x, y = noisy_net()
    y = y[:, :2]
    state = [v.numpy() for v in model.non_trainable_variables]
    history = keras_dlparts.newton(model, x, y, iterations=8, cg_iterations=20)
    assert np.diff(history["loss"]).max() <= 0
    for variable, value in zip(model.non_trainable_variables, state, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert int(model.optimizer.iterations.numpy()) == 0
    with backend.unmoved(model):  # the same masks once more: the loss it told
        loss, _ = backend.gradient(model, x, y)
    assert float(loss) == pytest.approx(history["loss"][-1], rel=1e-5)
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_stopped_by_hand_the_weights_are_those_of_the_last_step(monkeypatch):
    model, x, y, _ = logistic()
    lines = []

    def say(line):
        lines.append((line, model.get_weights()[0].copy()))
        if len(lines) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress, "news", lambda verbose: say)
    with pytest.raises(KeyboardInterrupt):
        keras_dlparts.newton(model, x, y)
    monkeypatch.undo()
    again, *_ = logistic()
    keras_dlparts.newton(again, x, y, iterations=2)
    np.testing.assert_allclose(model.get_weights()[0], again.get_weights()[0])
    assert lines[2][0].startswith("2  loss ")


def test_a_model_without_weights_yet_is_built():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(loss="mse")
    x = np.ones((3, 2), "float32")
    assert keras_dlparts.newton(model, x, x[:, :1])["loss"][-1] < 1e-10


@pytest.mark.parametrize(
    ("argument", "least"),
    [
        ("iterations", 1),
        ("tolerance", 0.0),
        ("damping", 0.0),
        ("cg_iterations", 1),
        ("cg_tolerance", 0.0),
    ],
)
def test_arguments_at_their_bounds(argument, least):
    model, x = function(lambda x: x**2, [1.0])
    keras_dlparts.newton(model, x, x, **{argument: least})
    with pytest.raises(ValueError, match=f"`{argument}` must be at least.*Received"):
        keras_dlparts.newton(model, x, x, **{argument: least - 1})


def test_bad_models():
    model, x = function(lambda x: x**2, [np.nan])
    with pytest.raises(ValueError, match="must be finite where `newton` starts"):
        keras_dlparts.newton(model, x, x)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="must be compiled"):
        keras_dlparts.newton(model, x, x)


def test_bfloat16():
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(1, dtype="bfloat16")
    model = keras.Sequential([keras.Input((2,)), dense])
    model.compile(loss="mse")
    x = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], "float32")
    history = keras_dlparts.newton(model, x, np.ones((3, 1)), iterations=3)
    assert history["loss"][-1] < 1e-3 * history["loss"][0]
