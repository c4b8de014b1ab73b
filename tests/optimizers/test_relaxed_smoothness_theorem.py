"""Functions that are (L0, L1)-smooth but not L-smooth: clipping holds what it says.

With eta = 1 / (10 L0) and gamma = min(1 / eta, 1 / (10 L1 eta)) clipped gradient
descent meets a gradient of at most eps within

    20 L0 (f0 - f*) / eps^2 + 20 max(1, L1^2) (f0 - f*) / L0

steps (Zhang et al. 2019, theorem 3), where plain descent of the same eta diverges.
"""

import keras
import numpy as np
import pytest

from keras_dlparts.callbacks import RelaxedSmoothnessClipping
from keras_dlparts.optimizers import ClippedSGD

# f, f', x0, f* and constants such that |f''| <= L0 + L1 |f'| for |x| <= x0:
FUNCTIONS = {
    # 12 x^2 <= 12 for |x| <= 1, else 12 x^2 <= 3 |4 x^3|
    "x^4": (lambda x: x**4, lambda x: 4 * x**3, 10.0, 0.0, 12.0, 3.0),
    # cosh x <= 1 + sinh |x|
    "cosh x": (np.cosh, np.sinh, 6.0, 1.0, 1.0, 1.0),
    # (2 + 4 x^2) e^(x^2) <= 6 e for |x| <= 1, else it is (1/x + 2x) f' <= 5.4 f'
    "exp x^2": (
        lambda x: np.exp(x**2),
        lambda x: 2 * x * np.exp(x**2),
        2.5,
        1.0,
        6 * np.e,
        5.4,
    ),
}


def descend(optimizer, slope, start, steps, eps):
    """Steps until |f'| <= eps, or None if that does not come."""
    x = keras.Variable(start, dtype="float32")
    optimizer.build([x])
    for step in range(steps):
        value = float(x.numpy())
        with np.errstate(over="ignore"):
            gradient = slope(np.float32(value))
        if not np.isfinite(gradient):
            return None
        if abs(gradient) <= eps:
            return step
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [x])
    return None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_clipped_descent_keeps_the_bound_where_plain_descent_diverges(name):
    f, slope, start, least, L0, L1 = FUNCTIONS[name]
    eps = 0.5
    eta = 1 / (10 * L0)
    gamma = min(1 / eta, 1 / (10 * L1 * eta))
    gap = f(start) - least
    bound = 20 * L0 * gap / eps**2 + 20 * max(1, L1**2) * gap / L0
    steps = descend(ClippedSGD(eta, gamma), slope, start, 1500, eps)
    assert steps is not None
    assert steps <= bound
    assert descend(keras.optimizers.SGD(eta), slope, start, 1500, eps) is None


def deep_linear_net():
    """f(w) = (w_1 ... w_6 x - y)^2: its curvature grows with its gradient."""
    start = keras.initializers.Constant(1.6)
    layer = {"use_bias": False, "kernel_initializer": start}
    model = keras.Sequential(
        [keras.Input((1,)), *(keras.layers.Dense(1, **layer) for _ in range(6))]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


@pytest.mark.study
def test_measured_constants_save_a_deep_linear_net():
    x = np.ones((8, 1), "float32")
    plain = deep_linear_net().fit(x, x, epochs=60, batch_size=8, verbose=0)
    assert not np.isfinite(plain.history["loss"][-1])
    clipping = RelaxedSmoothnessClipping(every=5, data=(x, x))
    clipped = deep_linear_net().fit(
        x, x, epochs=60, batch_size=8, verbose=0, callbacks=[clipping]
    )
    assert clipped.history["loss"][-1] < 1e-3 * clipped.history["loss"][0]
    assert clipping.history["L1"][-1] > 0
