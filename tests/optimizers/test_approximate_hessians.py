"""Keras' own optimizers are Newton's method with approximate diagonal Hessians.

    x <- x - rate H~^{-1} g        H~ diagonal

AdaGrad, RMSProp and AdaDelta take g as it is; Adam takes its bias-corrected mean.
H~ is made of squared gradients. Nothing of ours is tested here: these are facts that
the docs tell, and that DiagonalNewton's formula is to be read beside.
"""

import keras
import numpy as np
import pytest
from keras import ops

RATE, STEPS, EPSILON = 0.1, 30, 1e-3


def gradients():
    return np.random.default_rng(0).normal(size=(STEPS, 3, 2))


def taken(optimizer):
    """Where an optimizer of Keras goes on a fixed sequence of gradients."""
    x = keras.Variable(np.ones((3, 2), "float32"))
    optimizer.build([x])
    path = []
    for g in gradients():
        optimizer.apply([ops.convert_to_tensor(g.astype("float32"))])
        path.append(x.numpy())
    return np.array(path)


def newton(approximate):
    """x <- x - rate H^{-1} d, with `approximate(gs, steps)` giving (diag H, d)."""
    x, path, steps = np.ones((3, 2)), [], []
    for t in range(1, STEPS + 1):
        h, d = approximate(gradients()[:t], steps)
        steps.append(d / h)
        x = x - RATE * steps[-1]
        path.append(x)
    return np.array(path)


def mean(values, rho):
    """Exponential mean from 0: (1 - rho) sum_k rho^(t - k) values_k."""
    t = len(values)
    weights = (1 - rho) * rho ** np.arange(t - 1, -1, -1)
    return np.tensordot(weights, np.asarray(values), 1) if t else 0.0


def adagrad(gs, steps):
    """H = sqrt(sum of squares)"""
    return np.sqrt((gs**2).sum(axis=0) + EPSILON), gs[-1]


def rmsprop(gs, steps):
    """H = sqrt(mean of squares)"""
    return np.sqrt(mean(gs**2, 0.9) + EPSILON), gs[-1]


def adadelta(gs, steps):
    """H = rms of gradients / rms of the steps before, so it has a curvature's units"""
    moved = mean(np.square(steps), 0.9)
    return np.sqrt(mean(gs**2, 0.9) + EPSILON) / np.sqrt(moved + EPSILON), gs[-1]


def adam(gs, steps):
    """H = sqrt(v^) + epsilon, v^ = v / (1 - beta_2^t), along m^ = m / (1 - beta_1^t)

    Keras adds epsilon to sqrt(v), so here it is epsilon / sqrt(1 - beta_2^t).
    """
    t = len(gs)
    corrected = mean(gs**2, 0.99) / (1 - 0.99**t)
    h = np.sqrt(corrected) + EPSILON / np.sqrt(1 - 0.99**t)
    return h, mean(gs, 0.9) / (1 - 0.9**t)


OPTIMIZERS = {
    adagrad: lambda: keras.optimizers.Adagrad(RATE, 0.0, EPSILON),
    rmsprop: lambda: keras.optimizers.RMSprop(RATE, 0.9, epsilon=EPSILON),
    adadelta: lambda: keras.optimizers.Adadelta(RATE, 0.9, EPSILON),
    adam: lambda: keras.optimizers.Adam(RATE, 0.9, 0.99, EPSILON),
}


@pytest.mark.parametrize("form", OPTIMIZERS, ids=lambda form: form.__name__)
def test_keras_goes_where_the_approximate_newton_form_goes(form):
    np.testing.assert_allclose(
        taken(OPTIMIZERS[form]()), newton(form), rtol=1e-4, atol=1e-5
    )


def test_the_forms_differ():
    """So that agreement says something of each."""
    ends = [newton(form)[-1] for form in OPTIMIZERS]
    for i, one in enumerate(ends):
        for other in ends[:i]:
            assert abs(one - other).max() > 0.01


def test_adam_whose_corrected_means_overwrite_the_running_ones_is_not_adam():
    """The slip in one deck: m and v are divided anew at every step."""
    m = v = 0.0
    x = np.ones((3, 2))
    for t, g in enumerate(gradients(), 1):
        m = (0.9 * m + 0.1 * g) / (1 - 0.9**t)
        v = (0.99 * v + 0.01 * g**2) / (1 - 0.99**t)
        x = x - RATE * m / (np.sqrt(v) + EPSILON)
    assert abs(x - newton(adam)[-1]).max() > 0.1
