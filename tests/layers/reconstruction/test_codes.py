"""KSparse, GaussianSampling, and the layers that corrupt, against numpy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers import GaussianSampling, KSparse, MaskingNoise, SaltAndPepper
from keras_dlparts.layers.reconstruction.gaussian_sampling import (
    drawn,
    gaussian_kl,
    with_free_bits,
)
from keras_dlparts.layers.reconstruction.masking_noise import masked
from keras_dlparts.layers.reconstruction.salt_and_pepper import peppered
from keras_dlparts.schedules import Ramp

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape).astype("float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def test_k_largest_are_kept_in_training_and_more_in_inference():
    x = normal(5, 3, 8)
    layer = KSparse(2, test_factor=1.5)
    for training, k in ((True, 2), (False, 3)):
        expected = np.zeros_like(x)
        best = np.argsort(x, axis=-1)[..., -k:]
        np.put_along_axis(expected, best, np.take_along_axis(x, best, -1), -1)
        np.testing.assert_array_equal(numpy(layer(x, training=training)), expected)
    everything = KSparse(8, test_factor=3.0)(x)
    np.testing.assert_array_equal(numpy(everything), x)


def test_k_is_at_most_the_number_of_units():
    with pytest.raises(ValueError, match="k=9 for 8 units; lower k, or make"):
        KSparse(9)(normal(2, 8))
    with pytest.raises(ValueError, match="`k` must be at least 1"):
        KSparse(0)
    with pytest.raises(ValueError, match="`test_factor` must be a finite number"):
        KSparse(1, test_factor=0.5)


def test_gaussian_kl_equals_the_integral():
    z, mean, log_variance = np.linspace(-12, 12, 20001), 0.7, -0.4
    variance = np.exp(log_variance)
    q = np.exp(-((z - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    p = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    expected = np.trapezoid(q * np.log(np.maximum(q, 1e-300) / p), z)
    kl = numpy(gaussian_kl(np.float32(mean), np.float32(log_variance)))
    np.testing.assert_allclose(kl, expected, rtol=1e-5)


def test_draws_have_the_moments_and_free_bits_hold_each_unit():
    noise = normal(20000, 2)
    mean, log_variance = np.float32([1, -2]), np.log(np.float32([4, 0.25]))
    z = numpy(drawn(*map(ops.convert_to_tensor, (mean, log_variance, noise))))
    np.testing.assert_allclose(z.mean(0), [1, -2], atol=0.05)
    np.testing.assert_allclose(z.std(0), [2, 0.5], atol=0.03)
    kl = np.float32([[0.0, 1.0], [0.2, 3.0]])  # means 0.1 and 2
    np.testing.assert_allclose(numpy(with_free_bits(kl, 0.5)), 0.5 + 2.0, rtol=1e-6)


def test_the_loss_is_beta_kl_in_training_and_the_kl_alone_in_inference():
    mean, log_variance = normal(4, 3), normal(4, 3)
    kl = np.sum((mean**2 + np.exp(log_variance) - 1 - log_variance) / 2, 1).mean()
    layer = GaussianSampling(beta=Ramp(2, start=0.5, end=2.0))
    for beta in (0.5, 1.25, 2.0, 2.0):
        layer([mean, log_variance], training=True)
        np.testing.assert_allclose(numpy(layer.losses[-1]), beta * kl, rtol=1e-5)
    z = layer([mean, log_variance], training=False)
    np.testing.assert_allclose(numpy(layer.losses[-1]), kl, rtol=1e-5)
    np.testing.assert_array_equal(numpy(z), mean)


class Thrice(keras.Model):
    """Calls one layer twice in training, after a call that does not train."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2, kernel_initializer="identity")
        self.sampling = GaussianSampling(beta=Ramp(4))

    def call(self, x, training=None):
        moments = [self.dense(x), ops.zeros_like(x)]
        still = self.sampling(moments, training=False)
        return sum((self.sampling(moments, training=training) for _ in "ab"), still)


@pytest.mark.long
@pytest.mark.parametrize("compiled", [True, False])
def test_several_calls_of_a_layer_in_a_step_count_once(compiled):
    model, x = Thrice(), np.ones((4, 2), "float32")
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=not compiled)
    history = model.fit(x, batch_size=2, epochs=3, shuffle=False, verbose=0).history
    assert float(numpy(model.sampling.steps)) == 6
    beta = np.minimum(1, np.arange(6) / 4).reshape(3, 2).mean(1)
    # 2 units of 1/2 nat each, in each of the calls. On JAX Keras keeps the loss of a
    # layer's last call only.
    expected = beta if backend.name() == "jax" else 1 + 2 * beta
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (GaussianSampling(3), [normal(2, 3), normal(2, 3)]),
        (GaussianSampling(), normal(2, 3)),
        (GaussianSampling(), [normal(2, 3), normal(2, 4)]),
    ],
)
def test_gaussian_sampling_says_what_it_takes(layer, inputs):
    with pytest.raises(ValueError, match="`GaussianSampling` takes a"):
        layer(inputs)


def test_gaussian_sampling_checks_its_arguments():
    for arguments in ({"units": 0}, {"beta": -1.0}, {"free_bits": -0.1}):
        with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
            GaussianSampling(**arguments)


def test_corruption_changes_the_elements_that_the_noise_says():
    x, u = normal(4, 50), RANDOM.uniform(size=(4, 50)).astype("float32")
    given, noise = map(ops.convert_to_tensor, (x, u))
    found = numpy(masked(given, 0.3, noise))
    np.testing.assert_array_equal(found, np.where(u < 0.3, 0, x))
    found = numpy(peppered(given, 0.4, -1.0, 2.0, noise))
    expected = np.where(u < 0.2, -1, np.where(u < 0.4, 2, x))
    np.testing.assert_array_equal(found, expected)


NOISE = MaskingNoise(0.3, seed=1), SaltAndPepper(0.3, seed=1)


@pytest.mark.parametrize("layer", NOISE)
def test_corruption_changes_a_share_in_training_only(layer):
    x = np.full((100, 100), 0.5, "float32")
    share = np.mean(numpy(layer(x, training=True)) != x)
    assert abs(share - 0.3) < 0.02  # a deviation of .0046
    np.testing.assert_array_equal(numpy(layer(x)), x)


def test_corruption_checks_its_arguments():
    with pytest.raises(ValueError, match="`rate` must satisfy 0 <= rate < 1"):
        MaskingNoise(1.0)
    with pytest.raises(ValueError, match="`high` must be a finite number, greater"):
        SaltAndPepper(0.1, low=1.0, high=1.0)


def test_a_code_in_a_sequential_model_fits_from_a_schedule():
    layer = GaussianSampling(2, beta=Ramp(3), seed=0)
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(4)])
    model.compile("sgd", "mse")
    x = normal(8, 4)
    model.fit(x, x, batch_size=4, epochs=2, verbose=0)
    assert float(numpy(layer.steps)) == 4


def test_the_kl_is_taken_in_full_precision():
    half = ops.convert_to_tensor(np.full((1, 2), 0.05), "bfloat16")
    exact = ops.cast(half, "float32")
    np.testing.assert_allclose(
        numpy(gaussian_kl(half, half)), numpy(gaussian_kl(exact, exact)), rtol=1e-6
    )
    large = ops.convert_to_tensor([300.0], "float16")  # whose square is none
    assert np.isfinite(numpy(gaussian_kl(large, large * 0))).all()
