"""The means over Gaussians, the edge of chaos, and weights drawn there."""

import math

import keras
import numpy as np
import pytest

from keras_dlparts import backend
from keras_dlparts.initializers import Critical
from keras_dlparts.initializers.gaussian_means import means, pair_means, tabulated

# JAX computes in float32.
CLOSE = 1e-4 if backend.name() == "jax" else 1e-7


def test_means_of_relu_are_known():
    """V = q / 2, D = 1 / 2, and the arc-cosine kernel of degree 1 and 0."""
    q, c = 1.7, 0.6
    angle = math.acos(c)
    assert means(tabulated("relu"), q) == pytest.approx((q / 2, 0.5, 0.5), rel=CLOSE)
    kernel = (math.sin(angle) + (math.pi - angle) * c) / (2 * math.pi)
    found = pair_means(tabulated("relu"), q, c)
    assert found == pytest.approx(
        (q * kernel, (math.pi - angle) / (2 * math.pi)), rel=CLOSE
    )


@pytest.mark.parametrize("activation", ["tanh", "gelu", "hard_tanh", "relu6", "selu"])
def test_means_are_those_of_many_draws(activation):
    """Against sums over a fine grid, kinks and flat ends included."""
    q, z = 3.0, np.linspace(-9, 9, 200_001)
    weights = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    u = math.sqrt(q) * z
    phi = keras.ops.convert_to_numpy(keras.activations.get(activation)(u))
    slope = np.gradient(phi.astype("float64"), u)
    v, d, growth = means(tabulated(activation), q)
    assert v == pytest.approx(weights @ phi**2, rel=1e-4)
    assert d == pytest.approx(weights @ slope**2, rel=2e-3)
    step = 1e-3
    above, below = (means(tabulated(activation), q + s)[0] for s in (step, -step))
    assert growth == pytest.approx((above - below) / (2 * step), rel=1e-3)


def test_a_function_that_jumps_is_refused():
    def step(x):
        return keras.ops.cast(x > 0, x.dtype) + 0 * x

    with pytest.raises(ValueError, match="continuous"):
        means(tabulated(step), 1.0)
    with pytest.raises(ValueError, match="each element alone"):
        tabulated("softmax")


@pytest.mark.parametrize(
    ("bias", "weight"),
    [(0, 1), (0.01, 1.424), (0.05, 1.761), (0.1, 1.986), (0.3, 2.505), (1, 3.443)],
)
def test_the_critical_line_of_tanh(bias, weight):
    """As computed for Schoenholz et al. 2017, figure 1."""
    assert Critical("tanh", bias).weight_variance == pytest.approx(weight, abs=6e-4)


def test_relu_is_that_of_he_and_has_no_edge_with_biases():
    assert Critical("relu").weight_variance == pytest.approx(2, rel=CLOSE)
    assert Critical(None).weight_variance == pytest.approx(1, rel=CLOSE)
    slope = keras.layers.LeakyReLU(0.3)
    assert Critical(slope).weight_variance == pytest.approx(2 / 1.09, rel=CLOSE)
    with pytest.raises(ValueError, match=r"relu has one at 0\. Received"):
        Critical("relu", 0.1)
    with pytest.raises(ValueError, match=r"gelu has one from 0\.18"):
        Critical("gelu", 0.1)


def test_the_kernel_has_that_variance_and_the_biases_are_checked():
    for distribution in ("normal", "orthogonal"):
        part = Critical("tanh", 0.05, distribution, seed=1)
        kernel = keras.ops.convert_to_numpy(part((400, 400)))
        assert 400 * kernel.var() == pytest.approx(1.761, rel=0.02)
    square = kernel.T @ kernel
    np.testing.assert_allclose(square, 1.761 * np.eye(400), atol=2e-3)
    with pytest.raises(ValueError, match="bias_variance"):
        Critical("tanh", -0.1)
