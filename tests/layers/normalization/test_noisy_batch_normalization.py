"""NoisyBatchNormalization against its formula."""

import math

import keras
import numpy as np
import pytest
from keras import ops

import keras_dlparts
from keras_dlparts.layers import NoisyBatchNormalization
from keras_dlparts.layers.normalization.noisy_batch_normalization import disturb

X = np.random.default_rng(0).normal(3, 2, (4000, 5)).astype("float32")


def test_formula():
    random = np.random.default_rng(0)
    a, m, s = random.normal(size=(3, 4, 2))
    mu, sigma = random.normal(size=(2, 1, 2))
    want = np.empty((4, 2))
    for i, j in np.ndindex(4, 2):
        want[i, j] = (sigma[0, j] + s[i, j]) * a[i, j] + mu[0, j] + m[i, j]
    y = disturb(*map(ops.convert_to_tensor, (a, mu, sigma, m, s)))
    np.testing.assert_allclose(ops.convert_to_numpy(y), want, rtol=1e-6)


def drawn(layer, x=X, axis=0):
    """The mean and deviation of each feature in a training call."""
    y = ops.convert_to_numpy(layer(x, training=True))
    return y.mean(axis=axis), y.std(axis=axis)


def test_each_feature_and_each_step_has_its_own_mean_and_scale():
    """Without jitter y = sigma a + mu, with a of mean 0 and variance 1 (nearly)."""
    layer = NoisyBatchNormalization(0.5, 1.25, 0.0, seed=1)
    means, scales = np.moveaxis([drawn(layer) for _ in range(40)], 1, 0)
    for values, low, high in ((means, -0.5, 0.5), (scales, 1, 1.25)):
        assert len(np.unique(values)) == 200
        assert values.min() > low - 1e-3
        assert values.max() < high + 1e-3
        spread = (high - low) / math.sqrt(12)
        assert abs(values.mean() - (low + high) / 2) < 5 * spread / math.sqrt(200)
        assert values.std() == pytest.approx(spread, rel=0.2)


def test_jitter_is_of_each_element():
    """y = (1 + s) a + m, so Var[y] = 1 + jitter^2 + jitter^2 / 3."""
    layer = NoisyBatchNormalization(0.0, 1.0, 0.9, seed=1)
    _, scales = drawn(layer, X.reshape(-1, 1))
    assert scales[0] ** 2 == pytest.approx(1 + 0.81 + 0.27, rel=0.05)


def test_without_noise_it_is_batch_normalisation():
    ours = NoisyBatchNormalization(0, 1, 0, momentum=0.5)
    theirs = keras.layers.BatchNormalization(momentum=0.5)
    for training in (True, True, False):
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours(X, training=training)),
            ops.convert_to_numpy(theirs(X, training=training)),
            rtol=1e-6,
        )


@pytest.mark.long
def test_inference_is_the_mean_over_the_noise():
    """Of 400 steps on one batch; the draws' deviation is by the formula."""
    layer = NoisyBatchNormalization(0.5, 1.5, 0.1, momentum=0.0, seed=2)
    x = X[:64]
    steps = [ops.convert_to_numpy(layer(x, training=True)) for _ in range(400)]
    y = ops.convert_to_numpy(layer(x))
    a = y / 1.25
    deviation = np.sqrt(1 / 12 + 0.01 / 3 + a**2 * (0.25 / 12 + 0.01))
    assert (abs(np.mean(steps, axis=0) - y) < 6 * deviation / 20 + 1e-3).all()


def test_channels_first_has_one_shift_a_channel():
    layer = NoisyBatchNormalization(0.5, 1.0, 0.0, axis=1, seed=1)
    x = X[:600].reshape(100, 3, 10)
    means, _ = drawn(layer, x, axis=(0, 2))
    assert means.shape == (3,)
    assert len(np.unique(means.round(4))) == 3


def test_fold_leaves_it_and_recalibrate_knows_it(said):
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(3), NoisyBatchNormalization(momentum=0)]
    )
    folded = keras_dlparts.fold(model)
    assert "inside a NoisyBatchNormalization" in said[0]
    keras_dlparts.recalibrate(model, X, batch_size=4000)
    h = model.layers[0](X)
    np.testing.assert_allclose(
        model.layers[1].norm.moving_mean.numpy(),
        ops.convert_to_numpy(h).mean(axis=0),
        rtol=1e-4,
    )
    assert len(folded.layers) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"shift": -1e-9}, ValueError, "`shift` must be a finite number, at least 0"),
        (
            {"stretch": 0.999},
            ValueError,
            "`stretch` must be a finite number, at least 1",
        ),
        ({"jitter": math.inf}, ValueError, "`jitter` must be a finite number"),
        ({"shift": math.nan}, ValueError, "Received: shift=nan"),
        ({"shift": "1"}, TypeError, "at least 0. Received: shift='1'"),
        ({"jitter": True}, TypeError, "a finite number"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        NoisyBatchNormalization(**arguments)


def test_a_frozen_layer_is_in_inference():
    layer = NoisyBatchNormalization(seed=0)
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    layer.build(x.shape)
    layer.trainable = False
    found = [ops.convert_to_numpy(layer(x, training=t)) for t in (True, False)]
    np.testing.assert_array_equal(*found)
