"""The part `vae` of `generative.py`: a variational autoencoder's step.

784-400-20-400-784, batch 100, Adam: an epoch of `Autoencoder.fit`, with its data
pipeline and its logs, against

loop    a loop by hand over the same array, on TensorFlow of a compiled `GradientTape`
        step, on JAX of a jitted one: what `fit` costs is in the ratio
model   the shortest Keras model that learns the same by `fit`, with the loss as its
        only log

Adam is Keras' own in all. A ratio is that of the times within a round; the first, which
compiles, does not count.
"""

import time

import keras
import numpy as np
from keras import ops
from measuring import spread

BATCH = 100


def vae(rounds, steps=300):
    """The rows of results: the ratio, and that of each round."""
    x = (np.random.default_rng(0).random((BATCH * steps, 784)) < 0.2).astype("float32")
    ours, others = _vae_fit(x), {"loop": _vae_by_hand(x), "model": _vae_model(x)}
    ratios = {name: [] for name in others}
    for _ in range(rounds + 1):
        seconds = _timed(ours)
        for name, other in others.items():
            ratios[name].append(seconds / _timed(other))
    rows = [
        {"what": "vae", "beside": name, "ratio": spread(r[1:])}
        for name, r in ratios.items()
    ]
    print(*rows, sep="\n", flush=True)
    return rows


def _vae_fit(x):
    from keras_dlparts.layers import GaussianSampling
    from keras_dlparts.models import Autoencoder

    model = Autoencoder(
        [keras.layers.Dense(400, "tanh")],
        code=GaussianSampling(20, seed=0),
        likelihood="bernoulli",
        input_shape=(784,),
    )
    model.compile(keras.optimizers.Adam(1e-3))
    return lambda: model.fit(x, batch_size=BATCH, shuffle=False, verbose=0)


def _vae_by_hand(x):
    if keras.backend.backend() == "jax":
        return _vae_jax(x)
    if keras.backend.backend() == "tensorflow":
        return _vae_tensorflow(x)
    raise SystemExit("The steps by hand are of TensorFlow and JAX")


class _Model(keras.Model):
    """A variational autoencoder as short as it can be."""

    def __init__(self):
        super().__init__(name="by_hand")
        self.encoder, self.decoder = _nets()
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x, training=False):
        mean, log_variance = ops.split(self.encoder(x), 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        y = self.decoder(mean + ops.exp(0.5 * log_variance) * noise)
        return mean, log_variance, y

    def compute_loss(self, x=None, y=None, y_pred=None, *more, **options):
        mean, log_variance, y = y_pred
        fit = ops.sum(ops.softplus(y) - x * y, axis=-1)
        kl = ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance
        return ops.mean(fit + 0.5 * ops.sum(kl, axis=-1))


def _vae_model(x):
    model = _Model()
    model.compile(keras.optimizers.Adam(1e-3))
    return lambda: model.fit(x, batch_size=BATCH, shuffle=False, verbose=0)


def _nets():
    """Encoder and decoder of the same sizes as those of `_vae_fit`, built."""
    encoder = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(400, "tanh"),
            keras.layers.Dense(40),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.Input((20,)),
            keras.layers.Dense(400, "tanh"),
            keras.layers.Dense(784),
        ]
    )
    return encoder, decoder


def _vae_tensorflow(x):
    import tensorflow as tf

    encoder, decoder = _nets()
    weights = [*encoder.trainable_variables, *decoder.trainable_variables]
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(weights)
    values = [w.value for w in weights]
    mean_loss = tf.Variable(0.0)

    @tf.function(jit_compile=False)
    def step(x):
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(encoder(x), 2, axis=-1)
            z = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
            y = decoder(z)
            fit = tf.reduce_sum(tf.nn.softplus(y) - x * y, axis=-1)
            kl = tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance
            loss = tf.reduce_mean(fit + 0.5 * tf.reduce_sum(kl, axis=-1))
        optimizer.apply(tape.gradient(loss, values), weights)
        mean_loss.assign_add(loss)

    def epoch():
        for start in range(0, len(x), BATCH):
            step(x[start : start + BATCH])
        return float(mean_loss)

    return epoch


def _vae_jax(x):
    import jax
    import jax.numpy as jnp

    encoder, decoder = _nets()
    optimizer = keras.optimizers.Adam(1e-3)
    weights = [*encoder.trainable_variables, *decoder.trainable_variables]
    optimizer.build(weights)
    values = [jnp.array(w.value) for w in weights]
    slots = [jnp.array(v.value) for v in optimizer.variables]

    def loss_of(values, x, key):
        (W1, b1, W2, b2), (V1, c1, V2, c2) = values[:4], values[4:]
        both = jnp.tanh(x @ W1 + b1) @ W2 + b2
        mean, log_variance = jnp.split(both, 2, axis=-1)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
        y = jnp.tanh(z @ V1 + c1) @ V2 + c2
        fit = jnp.sum(jax.nn.softplus(y) - x * y, axis=-1)
        kl = jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance
        return jnp.mean(fit + 0.5 * jnp.sum(kl, axis=-1))

    @jax.jit
    def step(values, slots, x, key):
        key, now = jax.random.split(key)
        loss, gradients = jax.value_and_grad(loss_of)(values, x, now)
        values, slots = optimizer.stateless_apply(slots, gradients, values)
        return values, slots, key, loss

    state = [values, slots, jax.random.key(0)]

    def epoch():
        for start in range(0, len(x), BATCH):
            *state[:], loss = step(*state[:2], x[start : start + BATCH], state[2])
        return float(loss)

    return epoch


def _timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
