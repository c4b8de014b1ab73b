"""RandomDropout against its formula. What every layer keeps: tests/contracts."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts.layers import RandomDropout
from keras_dlparts.layers.dropout.random_dropout import thin


def reference(x, rho, u):
    """y_ij = x_ij [u_ij >= rho_i] / (1 - rho_i), element by element."""
    y = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        rate = rho[index[0] if len(rho) > 1 else 0].item()
        if u[index] >= rate:
            y[index] = x[index] / (1 - rate)
    return y


@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("per", ["sample", "batch"])
def test_thin_is_the_formula(shape, per):
    random = np.random.default_rng(0)
    x = random.normal(size=shape).astype("float32")
    rho = random.uniform(
        size=(shape[0] if per == "sample" else 1,) + (1,) * (x.ndim - 1)
    )
    rho = rho.astype("float32")
    u = random.uniform(size=shape).astype("float32")
    u.flat[0] = rho.flat[0]  # the boundary: u = rho is kept
    y = thin(*map(ops.convert_to_tensor, (x, rho, u)))
    np.testing.assert_allclose(ops.convert_to_numpy(y), reference(x, rho, u), rtol=1e-6)


def drawn(layer, shape):
    """Outputs on ones, and the factors 1 / (1 - rho) that each sample shows."""
    y = ops.convert_to_numpy(layer(np.ones(shape, "float32"), training=True))
    return y, [set(np.unique(sample)) - {0.0} for sample in y]


def test_expectation_is_the_input():
    """A sample's mean over its m elements has variance rho / ((1 - rho) m) around 1.

    For rho <= 0.5 that is at most 1 / m, so the mean of n samples stays within five
    standard deviations, 5 / sqrt(n m).
    """
    n, m = 200, 500
    y, _ = drawn(RandomDropout(0.5, seed=0), (n, m))
    assert abs(y.mean() - 1) < 5 / math.sqrt(n * m)


def test_rates_are_uniform_and_one_a_sample():
    """n rates rho ~ U(0, r), read off the factors: mean r / 2, sd r / sqrt(12)."""
    n, rate = 400, 0.8
    y, factors = drawn(RandomDropout(rate, seed=1), (n, 50, 2))
    assert {len(values) for values in factors} == {1}
    rho = np.array([1 - 1 / values.pop() for values in factors])
    assert len(np.unique(rho)) > 0.99 * n
    assert rho.min() >= 0
    assert rho.max() < rate
    assert abs(rho.mean() - rate / 2) < 5 * rate / math.sqrt(12 * n)
    # and as many as the rate says are zero: 100 elements, so sd <= 0.05 a sample
    zeros = (y == 0).mean(axis=(1, 2))
    assert abs((zeros - rho).mean()) < 5 * 0.05 / math.sqrt(n)
    assert np.corrcoef(zeros, rho)[0, 1] > 0.9


def test_per_batch_shares_one_rate_but_no_mask():
    layer = RandomDropout(0.8, per="batch", seed=1)
    y, factors = drawn(layer, (20, 100))
    assert len(set.union(*factors)) == 1
    assert len(np.unique(y == 0, axis=0)) == 20
    assert set.union(*drawn(layer, (20, 100))[1]) != set.union(*factors)


@pytest.mark.parametrize("per", ["sample", "batch"])
@pytest.mark.parametrize("noise_shape", [(None, 1, 7), (None, 5, 1), (4, 1, None)])
def test_noise_shape_drops_together(per, noise_shape):
    """Along an axis of size 1 zeros are shared, along the others they are not."""
    layer = RandomDropout(0.9, per=per, noise_shape=noise_shape, seed=2)
    y, factors = drawn(layer, (4, 5, 7))
    assert {len(values) for values in factors} <= {0, 1}
    zeros = y == 0
    for axis, size in enumerate(noise_shape):
        along = np.moveaxis(zeros, axis, 0)
        assert (along == along[:1]).all() == (size == 1)


def test_the_first_axis_may_be_shared_too():
    """One draw u for all samples; with a rate a sample the higher one drops more."""
    layer = RandomDropout(0.9, noise_shape=(1, None), seed=2)
    y, factors = drawn(layer, (2, 200))
    high, low = (1, 0) if max(factors[1]) > max(factors[0]) else (0, 1)
    assert (y[high] == 0)[y[low] == 0].all()
    layer = RandomDropout(0.9, per="batch", noise_shape=(1, None), seed=2)
    y, _ = drawn(layer, (3, 50))
    assert (y == y[0]).all()


@pytest.mark.parametrize("noise_shape", [(None,), (None, 1, 1), (None, 4), (3, 1)])
def test_noise_shape_that_does_not_fit(noise_shape):
    with pytest.raises(ValueError, match=r"an entry for each axis.*Received"):
        RandomDropout(0.5, noise_shape=noise_shape)(keras.KerasTensor((2, 5)))


@pytest.mark.parametrize(
    ("noise_shape", "error"),
    [
        ((None, 0), ValueError),
        ((-1, 2), ValueError),
        (3, TypeError),
        ("12", TypeError),
        ((1.0, 2), TypeError),
        ((True, 2), TypeError),
    ],
)
def test_bad_noise_shape(noise_shape, error):
    with pytest.raises(error, match=r"`noise_shape` must.*Received: noise_shape="):
        RandomDropout(0.5, noise_shape=noise_shape)


@pytest.mark.parametrize("rate", [0, 0.0])
def test_rate_zero_is_the_identity(rate):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    y = RandomDropout(rate)(x, training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(y), x)


def test_highest_rate_stays_finite():
    """Just below 1 the factor is at most 1 / (1 - rho) with rho a float32 below 1."""
    y, _ = drawn(RandomDropout(np.nextafter(1, 0).item(), seed=0), (100, 100))
    assert np.isfinite(y).all()


@pytest.mark.parametrize("rate", [-1e-9, 1.0, 1, 1.5, math.inf, math.nan])
def test_rate_out_of_bounds(rate):
    with pytest.raises(ValueError, match=r"0 <= rate < 1.*Received: rate="):
        RandomDropout(rate)


@pytest.mark.parametrize("rate", ["0.5", True, None, [0.5]])
def test_rate_of_a_wrong_type(rate):
    with pytest.raises(TypeError, match=r"must be a number.*Received: rate="):
        RandomDropout(rate)


@pytest.mark.parametrize("per", ["Sample", "feature", None, ""])
def test_bad_per(per):
    with pytest.raises(ValueError, match=r"'sample' or 'batch'. Received: per="):
        RandomDropout(0.5, per=per)


def test_in_a_model_the_masks_change_from_step_to_step():
    """Not frozen into the compiled step: two epochs of one batch have two losses."""
    model = keras.Sequential([keras.Input((50,)), RandomDropout(0.9, seed=0)])
    model.add(keras.layers.Dense(1, kernel_initializer="ones"))
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    x = np.ones((4, 50), "float32")
    losses = model.fit(x, np.zeros((4, 1)), epochs=3, verbose=0).history["loss"]
    assert len(set(losses)) == 3
