"""Along the step: Santurkar's measures against formulas, and his theorem."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.analysis import along_the_step
from keras_dlparts.layers import RandomDropout


def quadratic():
    """L = mean_i (a_i w_i - y_i)^2 with H = diag(2 a_i^2 / n)."""
    a = np.array([1.0, 2.0, 4.0], "float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[3.0], [1.0], [-1.0]])])
    model.compile(loss="mse")
    return model, np.diag(a), np.ones((3, 1), "float32"), 2 * a**2 / 3


def test_measures_are_those_of_the_formula():
    model, x, y, hessian = quadratic()
    w = model.get_weights()[0]
    g = 2 * x.T @ (x @ w - y) / 3
    found = along_the_step(model, x, y, learning_rate=0.1, reach=(0.5, 2.0), points=4)
    steps = np.array([0.05, 0.1, 0.15, 0.2])
    np.testing.assert_allclose(found["step"], steps)
    losses = [((x @ (w - t * g) - y) ** 2).mean() for t in steps]
    np.testing.assert_allclose(found["loss"], losses, rtol=1e-4)
    changes = steps * np.linalg.norm(hessian[:, None] * g)
    np.testing.assert_allclose(found["gradient_change"], changes, rtol=1e-4)
    assert found["loss_variation"] == (found["loss"].min(), found["loss"].max())
    assert found["gradient_predictiveness"] == pytest.approx((changes[0], changes[-1]))
    assert found["effective_smoothness"] == pytest.approx(
        np.linalg.norm(hessian[:, None] * g) / np.linalg.norm(g), rel=1e-4
    )
    assert found["gradient_norm"] == pytest.approx(np.linalg.norm(g), rel=1e-5)
    assert found["loss_here"] == pytest.approx(((x @ w - y) ** 2).mean(), rel=1e-5)


def test_the_largest_smoothness_is_taken_where_it_changes():
    """L = w^4 / 4 at w = 1: g = 1, change |1 - (1 - t)^3| / t = 3 - 3 t + t^2."""

    class Quartic(keras.layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(1,), initializer="ones")

        def call(self, x):
            return 0 * x + self.w

    model = keras.Sequential([keras.Input((1,)), Quartic()])
    model.compile(loss=lambda _, w: ops.mean(w**4) / 4)
    x = np.zeros((1, 1), "float32")
    found = along_the_step(model, x, x, learning_rate=0.5, reach=(0.2, 1.0), points=5)
    assert found["effective_smoothness"] == pytest.approx(3 - 0.3 + 0.01, rel=1e-4)


def test_masks_are_the_same_at_every_step_size():
    """So close to the point, only other masks could change the gradient."""
    model = keras.Sequential(
        [keras.Input((50,)), RandomDropout(0.9, seed=1), keras.layers.Dense(1)]
    )
    model.compile(loss="mse")
    x, y = np.ones((4, 50), "float32"), np.zeros((4, 1), "float32")
    found = along_the_step(model, x, y, learning_rate=1e-9)
    assert found["gradient_change"].max() < 1e-3 * found["gradient_norm"]
    assert found["gradient_norm"] > 0.1


def test_a_point_without_slope():
    model, x, y, _ = quadratic()
    model.set_weights([np.linalg.solve(x, y)])
    found = along_the_step(model, x, y)
    assert found["effective_smoothness"] == pytest.approx(0, abs=100)
    model.set_weights([np.zeros((3, 1))])
    assert along_the_step(model, x, 0 * y)["effective_smoothness"] == 0


def test_one_compiled_gradient_serves_many_calls():
    model, x, y, _ = quadratic()
    measure, calls = backend.gradient_function(model), []

    def counted(*batch):
        calls.append(1)
        return measure(*batch)

    ours = along_the_step(model, x, y, points=3, gradient=counted)
    assert len(calls) == 4
    theirs = along_the_step(model, x, y, points=3)
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-6)


@pytest.mark.parametrize(
    ("argument", "good", "bad"),
    [
        ("learning_rate", 1e-9, 0.0),
        ("reach", (1.0, 1.0), (0.0, 1.0)),
        ("reach", (1e-9, 1.0), (1.0, 0.9)),
        ("points", 1, 0),
    ],
)
def test_arguments_at_their_bounds(argument, good, bad):
    model, x, y, _ = quadratic()
    along_the_step(model, x, y, **{argument: good})
    with pytest.raises(ValueError, match=f"`{argument}` must be.*Received: {argument}"):
        along_the_step(model, x, y, **{argument: bad})


class Free(keras.layers.Layer):
    """Activations that are weights themselves: `(m, d)`, whatever comes in."""

    def build(self, shape):
        normal = keras.initializers.RandomNormal(stddev=2.0, seed=1)
        self.y = self.add_weight(shape=(6, 3), initializer=normal)

    def call(self, x):
        return 0 * x + self.y


def test_batch_normalisations_lipschitz_theorem_is_an_equality():
    """Theorem 4.1 at epsilon = 0, for each channel j of m activations:

        |dL/dy_j|^2 = gamma^2 / sigma_j^2 (|dL/dz_j|^2 - <1, dL/dz_j>^2 / m
                                            - <dL/dz_j, y^_j>^2 / m)

    with z = gamma y^ + beta. The factor is 1/m; with 1/sqrt(m), as one deck has it,
    the equality fails.
    """
    random = np.random.default_rng(0)
    gamma, target = random.uniform(0.5, 2, 3), random.normal(size=(6, 3))
    norm = keras.layers.BatchNormalization(epsilon=1e-12)
    model = keras.Sequential([keras.Input(batch_shape=(6, 3)), Free(), norm])
    norm.gamma.assign(gamma)
    model.compile(loss="mse")
    x = np.zeros((6, 3), "float32")
    _, gradients = backend.gradient(model, x, target.astype("float32"))
    left = (ops.convert_to_numpy(gradients[0]).astype("float64") ** 2).sum(axis=0)

    y = model.layers[0].y.numpy().astype("float64")
    sigma = y.std(axis=0)
    hat = (y - y.mean(axis=0)) / sigma
    dz = 2 * (gamma * hat - target) / target.size
    m = len(y)

    def right(factor):
        lost = dz.sum(axis=0) ** 2 / m + factor * (dz * hat).sum(axis=0) ** 2
        return gamma**2 / sigma**2 * ((dz**2).sum(axis=0) - lost)

    np.testing.assert_allclose(left, right(1 / m), rtol=1e-3)
    assert (abs(left / right(1 / np.sqrt(m)) - 1) > 0.1).all()
