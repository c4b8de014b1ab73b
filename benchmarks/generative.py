"""What a step of a generative model costs beside the same step written by hand.

    python benchmarks/generative.py gan|vae [--rounds 7] [--out FILE]
    KERAS_BACKEND=jax python benchmarks/generative.py gan

gan: `models.GAN` with `optimizers.Phased`, both nets stepping at once, against two
gradient tapes over one pass on TensorFlow, or two `jax.grad` on JAX, with two Adams.
The step by hand notes both losses; ours notes four more figures, and both gradients'
norms. Two sizes: dense nets on points, and convolutional ones on images of 28 x 28.
vae: `models.Autoencoder`, see `generative_vae.py`.
The two are timed by turns, and the ratio is the median of the rounds' ratios.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
from generative_vae import vae
from keras import layers as kl
from keras import ops
from measuring import pairwise, write

from keras_dlparts.models import GAN
from keras_dlparts.optimizers import Phased

LATENT = 64
BETA = 0.5


def dense_nets():
    """(G's layers, D's layers, the shape of a sample, the batch, steps of a round)."""
    generator = [kl.Dense(256, "relu"), kl.Dense(256, "relu"), kl.Dense(2)]
    discriminator = [kl.Dense(256, "relu"), kl.Dense(256, "relu"), kl.Dense(1)]
    return generator, discriminator, (2,), 256, 100


def convolutional_nets():
    options = {"strides": 2, "padding": "same"}
    generator = [
        kl.Dense(7 * 7 * 32, use_bias=False),
        kl.BatchNormalization(),
        kl.ReLU(),
        kl.Reshape((7, 7, 32)),
        kl.Conv2DTranspose(16, 4, use_bias=False, **options),
        kl.BatchNormalization(),
        kl.ReLU(),
        kl.Conv2DTranspose(1, 4, activation="sigmoid", **options),
    ]
    discriminator = [
        kl.Conv2D(16, 4, **options),
        kl.LeakyReLU(),
        kl.Conv2D(32, 4, **options),
        kl.LeakyReLU(),
        kl.Flatten(),
        kl.Dense(1),
    ]
    return generator, discriminator, (28, 28, 1), 64, 15


NETS = {"dense": dense_nets, "convolutional": convolutional_nets}


def adam():
    return keras.optimizers.Adam(2e-4, beta_1=BETA)


def gan(rounds):
    """A row for each size of nets."""
    backend = keras.backend.backend()
    by_hand = {"tensorflow": by_hand_tensorflow, "jax": by_hand_jax}[backend]
    ours = {"tensorflow": ours_tensorflow, "jax": ours_jax}[backend]
    rows = []
    for name, nets in NETS.items():
        shape, batch, steps = nets()[2:]
        x = np.random.default_rng(0).random((batch, *shape)).astype("float32")
        both = [ours(nets, x), by_hand(nets, x)]
        for step in both:  # traces and compiles
            step(3)
        times = np.array([[timed(step, steps) for step in both] for _ in range(rounds)])
        rows.append(
            {
                "nets": name,
                "batch": batch,
                "ms_ours": 1000 * float(np.median(times[:, 0])),
                "ms_by_hand": 1000 * float(np.median(times[:, 1])),
                "ratio": pairwise(*times.T.tolist()),
            }
        )
        print(rows[-1], flush=True)
    return rows


def timed(step, steps):
    """Seconds a step."""
    start = time.perf_counter()
    step(steps)
    return (time.perf_counter() - start) / steps


def ours_model(nets):
    generator, discriminator, *_ = nets()
    model = GAN(generator, discriminator, latent=LATENT, seed=0)
    optimizer = Phased({"discriminator": adam(), "generator": adam()})
    model.compile(optimizer, jit_compile=keras.backend.backend() == "jax")
    return model


def ours_tensorflow(nets, x):
    import tensorflow as tf

    model = ours_model(nets)
    model.train_on_batch(x)
    step = tf.function(model.train_step, autograph=False)
    x = tf.constant(x)

    def run(steps):
        for _ in range(steps):
            logs = step((x,))
        logs["loss"].numpy()

    return run


def by_hand_tensorflow(nets, x):
    import tensorflow as tf

    generator, discriminator, shape, batch, _ = nets()
    G = keras.Sequential([keras.Input((LATENT,)), *generator])
    D = keras.Sequential([keras.Input(shape), *discriminator])
    of_g, of_d = adam(), adam()
    of_g.build(G.trainable_variables)
    of_d.build(D.trainable_variables)
    told = [keras.metrics.Mean() for _ in range(2)]

    @tf.function(autograph=False)
    def step(x):
        z = tf.random.normal((batch, LATENT))
        with tf.GradientTape() as tape_g, tf.GradientTape() as tape_d:
            fake = G(z, training=True)
            real, s = D(x, training=True), D(fake, training=True)
            loss_g = tf.reduce_mean(tf.nn.softplus(-s))
            loss_d = tf.reduce_mean(tf.nn.softplus(-real) + tf.nn.softplus(s))
        slopes_g = tape_g.gradient(loss_g, G.trainable_variables)
        slopes_d = tape_d.gradient(loss_d, D.trainable_variables)
        of_g.apply(slopes_g, G.trainable_variables)
        of_d.apply(slopes_d, D.trainable_variables)
        for metric, loss in zip(told, (loss_g, loss_d), strict=True):
            metric.update_state(loss)
        return loss_g

    x = tf.constant(x)

    def run(steps):
        for _ in range(steps):
            loss = step(x)
        loss.numpy()

    return run


def ours_jax(nets, x):
    import jax

    model = ours_model(nets)
    model.train_on_batch(x)
    model.jax_state_sync()
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    # Copies, for the step gives their memory away.
    state = [[ops.copy(v.value) for v in group] for group in groups]
    step = jax.jit(model.train_step, donate_argnums=0)
    x, kept = ops.convert_to_tensor(x), [state]

    def run(steps):
        for _ in range(steps):
            logs, kept[0] = step(kept[0], (x,))
        jax.block_until_ready((logs, kept[0]))

    return run


def by_hand_jax(nets, x):
    import jax
    from jax import numpy as jnp

    generator, discriminator, shape, batch, _ = nets()
    G = keras.Sequential([keras.Input((LATENT,)), *generator])
    D = keras.Sequential([keras.Input(shape), *discriminator])
    parts = [
        [[ops.copy(v.value) for v in kind] for kind in kinds]
        for kinds in (
            (G.trainable_variables, D.trainable_variables),
            (G.non_trainable_variables, D.non_trainable_variables),
        )
    ]
    zeros = [[(0 * w, 0 * w) for w in net] for net in parts[0]]

    def moved(weights, slopes, slots, t):
        """A step of Adam."""
        new = []
        for w, g, (m, v) in zip(weights, slopes, slots, strict=True):
            m, v = BETA * m + (1 - BETA) * g, 0.999 * v + 0.001 * g * g
            rate = 2e-4 * jnp.sqrt(1 - 0.999**t) / (1 - BETA**t)
            new.append((w - rate * m / (jnp.sqrt(v) + 1e-7), (m, v)))
        return [w for w, _ in new], [slot for _, slot in new]

    def step(state, x):
        (g, d), (others_g, others_d), (slots_g, slots_d), key, t, told = state
        key, draw = jax.random.split(key)
        z = jax.random.normal(draw, (batch, LATENT))
        t = t + 1.0

        def loss_g(g):
            fake, moved_g = G.stateless_call(g, others_g, z, training=True)
            s, _ = D.stateless_call(d, others_d, fake, training=True)
            return jnp.mean(jax.nn.softplus(-s)), (fake, moved_g)

        (of_g, (fake, moved_g)), slopes_g = jax.value_and_grad(loss_g, has_aux=True)(g)

        def loss_d(d):
            real, others = D.stateless_call(d, others_d, x, training=True)
            s, others = D.stateless_call(d, others, fake, training=True)
            return jnp.mean(jax.nn.softplus(-real) + jax.nn.softplus(s)), others

        (of_d, moved_d), slopes_d = jax.value_and_grad(loss_d, has_aux=True)(d)
        g, slots_g = moved(g, slopes_g, slots_g, t)
        d, slots_d = moved(d, slopes_d, slots_d, t)
        told = told[0] + of_g, told[1] + of_d
        return (g, d), (moved_g, moved_d), (slots_g, slots_d), key, t, told

    step = jax.jit(step, donate_argnums=0)
    start = jnp.float32(0)
    state = (
        *map(tuple, (*parts, zeros)),
        jax.random.key(0),
        start,
        (start + 0, start + 0),
    )
    x, kept = ops.convert_to_tensor(x), [state]

    def run(steps):
        for _ in range(steps):
            kept[0] = step(kept[0], x)
        jax.block_until_ready(kept[0][0])

    return run


MODELS = {"gan": gan, "vae": vae}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = MODELS[asked.model](asked.rounds)
    write(rows, f"generative_{asked.model}_{keras.backend.backend()}", asked.out)


if __name__ == "__main__":
    main()
