"""Perceptron and PerceptronLoss against Rosenblatt's algorithm, and its limits."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.data import Parity
from keras_dlparts.layers import Perceptron
from keras_dlparts.losses import PerceptronLoss

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")


def rosenblatt(x, t, rate, epochs, use_bias=True):
    """His algorithm, sample by sample; yields the weights after each."""
    w, b = np.zeros((x.shape[1], t.shape[1])), np.zeros(t.shape[1])
    for _ in range(epochs):
        for x_i, t_i in zip(x, t, strict=True):
            y = (x_i @ w + b >= 0) * 1.0
            w = w + rate * np.outer(x_i, t_i - y)
            b = b + rate * (t_i - y) * use_bias
            yield w, b


class Weights(keras.callbacks.Callback):
    """Notes the weights after each step."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        with backend.unmoved(self.model):
            self.seen.append(self.model.get_weights())


def perceptron(features, units=1, rate=1.0, **more):
    model = keras.Sequential([keras.Input((features,)), Perceptron(units, **more)])
    model.compile(keras.optimizers.SGD(rate), PerceptronLoss())
    return model


@pytest.mark.parametrize(
    ("units", "rate", "use_bias"), [(1, 1.0, True), (3, 0.5, True), (1, 2.0, False)]
)
def test_each_step_is_rosenblatts(units, rate, use_bias):
    """Inputs of small whole numbers, so that both sum without rounding."""
    random = np.random.default_rng(0)
    x = random.integers(-3, 4, (10, 4)).astype("float32")
    t = random.integers(0, 2, (10, units)).astype("float32")
    model, weights = perceptron(4, units, rate, use_bias=use_bias), Weights()
    model.fit(
        x, t, batch_size=1, epochs=2, shuffle=False, verbose=0, callbacks=[weights]
    )
    moved = 0
    for ours, (w, b) in zip(
        weights.seen, rosenblatt(x, t, rate, 2, use_bias), strict=True
    ):
        np.testing.assert_array_equal(ours[0], w)
        if use_bias:
            np.testing.assert_array_equal(ours[1], b)
        moved += bool(abs(w).max())
    assert moved > 5


@pytest.mark.long
def test_it_makes_no_more_mistakes_than_novikoffs_bound():
    """If |x_i'| <= R, x' being x with a 1 for the bias, and some |u| = 1 has
    (2 t_i - 1) u'x_i' >= m > 0 for all i, there are at most (R / m)^2 mistakes."""
    random = np.random.default_rng(1)
    u = np.array([0.6, -0.7, 0.2])
    u /= np.linalg.norm(u)
    x = random.uniform(-1, 1, (200, 2))
    score = x @ u[:2] + u[2]
    kept = abs(score) > 0.1
    x, t = x[kept].astype("float32"), (score[kept, None] > 0).astype("float32")
    bound = ((x**2).sum(axis=1).max() + 1) / abs(score[kept]).min() ** 2
    model, weights = perceptron(2), Weights()
    history = model.fit(
        x, t, batch_size=1, epochs=6, shuffle=False, verbose=0, callbacks=[weights]
    )
    path = np.array([np.append(w, b) for w, b in weights.seen])
    mistakes = (np.diff(path, axis=0, prepend=0) != 0).any(axis=1).sum()
    assert 3 < mistakes <= bound
    assert history.history["loss"][-1] == 0
    np.testing.assert_array_equal(model.predict(x, verbose=0), t)


def test_one_perceptron_fails_at_exclusive_or():
    """No line parts the four points, so it never rests and never has more than 3."""
    t = (XOR.sum(axis=1) % 2)[:, None]
    model, weights = perceptron(2), Weights()
    model.fit(
        XOR, t, batch_size=1, epochs=10, shuffle=False, verbose=0, callbacks=[weights]
    )
    for w, b in weights.seen:
        assert ((XOR @ w + b >= 0) == t).sum() <= 3
    assert len({tuple(np.append(w, b)) for w, b in weights.seen[-8:]}) > 1


@pytest.mark.long
def test_perceptrons_behind_perceptrons_learn_it():
    """The gradient passes the steps. Of 30 starts like this one all get there within
    200 epochs, half within 10."""
    random = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((2,)), Perceptron(16), Perceptron(1)])
    for layer in model.layers:
        layer.kernel.assign(random.normal(size=layer.kernel.shape))
    model.compile(keras.optimizers.SGD(0.1), PerceptronLoss())
    t = (XOR.sum(axis=1) % 2)[:, None]
    model.fit(XOR, t, batch_size=1, epochs=40, shuffle=False, verbose=0)
    np.testing.assert_array_equal(ops.convert_to_numpy(model(XOR)), t)


def test_parity_of_two_bits_is_exclusive_or():
    x, y = Parity(bits=2, samples=20).train.arrays()
    np.testing.assert_array_equal(y, np.logical_xor(*x.T))


def test_the_step_is_hard_and_exact_and_its_gradient_that_of_the_identity():
    """At 0 it is 1; far out, a hard + a - a would lose the 1 to rounding."""
    a = np.array([[-1e20, -1e-30, 0.0, 1e-30, 1e20]], "float32")
    layer = Perceptron(5, use_bias=False, kernel_initializer="identity")
    y = ops.convert_to_numpy(layer(a))
    np.testing.assert_array_equal(y, [[0, 0, 1, 1, 1]])
    model = keras.Sequential([keras.Input((5,)), Perceptron(2)])
    model.compile(loss=PerceptronLoss())
    x, t = np.full((1, 5), 2.0, "float32"), np.array([[0.0, 1.0]], "float32")
    _, (kernel, bias) = backend.gradient(model, x, t)
    np.testing.assert_array_equal(ops.convert_to_numpy(kernel), [[2.0, 0.0]] * 5)
    np.testing.assert_array_equal(ops.convert_to_numpy(bias), [1.0, 0.0])


def test_a_nan_is_not_hidden():
    assert np.isnan(ops.convert_to_numpy(Perceptron(1)(np.full((1, 2), np.nan)))).all()


@pytest.mark.parametrize("units", [0, -1, 1.0, True, None])
def test_bad_units(units):
    with pytest.raises(ValueError, match=r"a positive integer. Received: units="):
        Perceptron(units)
