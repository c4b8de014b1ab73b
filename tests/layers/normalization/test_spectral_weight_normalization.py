"""SpectralWeightNormalization against singular values, and in a discriminator."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import keras_dlparts
from keras_dlparts import backend
from keras_dlparts.layers import SpectralWeightNormalization
from keras_dlparts.models import GAN

RANDOM = np.random.default_rng(0)
LAYERS = [
    (kl.Dense(3, use_bias=False), (4, 5), [(1,)]),
    (kl.Conv2D(3, 2), (2, 4, 4, 2), [(3,)]),
    (kl.Conv2DTranspose(3, 2), (2, 3, 3, 2), [(2,)]),
    (kl.GRU(3), (2, 3, 4), [(1,), (1,)]),
]


@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_the_largest_singular_value_becomes_one(number):
    inner, shape, axes = LAYERS[number]
    keras.utils.set_random_seed(0)
    layer = SpectralWeightNormalization(inner, power_iterations=100)
    x = RANDOM.normal(size=shape).astype("float32")
    layer(x, training=True)
    found = layer.plain_weights()
    for kernel, axis in zip(layer.directions, axes, strict=True):
        w = ops.convert_to_numpy(found[id(kernel)])
        outputs = w.shape[axis[0]]
        matrix = np.moveaxis(w, axis[0], -1).reshape(-1, outputs)
        largest = np.linalg.svd(matrix, compute_uv=False).max()
        assert largest == pytest.approx(1, abs=1e-3)
        ratio = ops.convert_to_numpy(kernel) / w
        np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-4)  # else it is W


def test_the_gradient_goes_through_sigma():
    """d/dW of sum(W / sigma) with u and v held, in numpy."""
    layer = SpectralWeightNormalization(kl.Dense(3, use_bias=False))
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile("sgd", loss=lambda y, out: ops.sum(out))
    W, u = (ops.convert_to_numpy(w[0]) for w in (layer.directions, layer.vectors))
    v = W @ u / np.linalg.norm(W @ u)
    u = v @ W / np.linalg.norm(v @ W)
    sigma = v @ W @ u
    expected = np.ones_like(W) / sigma - W.sum() / sigma**2 * np.outer(v, u)
    _, (found,) = backend.gradient(model, np.eye(2, dtype="float32"), np.zeros((2, 3)))
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), expected, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(layer.vectors[0].numpy(), u, rtol=1e-5)  # it has moved


@pytest.mark.long
def test_a_discriminator_of_several_trains():
    """Keras' own fails on PyTorch: it writes over a kernel that is still needed."""
    spectral = SpectralWeightNormalization
    model = GAN(
        generator=[kl.Dense(2)],
        discriminator=[spectral(kl.Dense(4, "tanh")), spectral(kl.Dense(1))],
        latent=2,
        seed=0,
    )
    model.compile(keras.optimizers.SGD(0.1))
    x = RANDOM.normal(size=(8, 2)).astype("float32")
    before = [v.numpy().copy() for v in model.trainable_variables]
    model.fit(x, batch_size=4, epochs=2, verbose=0)
    backend.up_to_date(model)
    for old, new in zip(before, model.trainable_variables, strict=True):
        assert np.abs(old - new.numpy()).max() > 0
    plain = keras_dlparts.strip(model.discriminator)
    assert [type(layer).__name__ for layer in plain.layers] == ["Dense", "Dense"]
    np.testing.assert_allclose(
        ops.convert_to_numpy(plain(x)),
        model.predict(x, verbose=0),
        rtol=1e-4,
        atol=1e-5,
    )


def test_bad_arguments():
    with pytest.raises(ValueError, match="`power_iterations` must be at least 1"):
        SpectralWeightNormalization(kl.Dense(2), power_iterations=0)
    with pytest.raises(ValueError, match="must have a kernel of its own"):
        SpectralWeightNormalization(kl.ReLU()).build((None, 3))
