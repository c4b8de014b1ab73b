"""784-400-20-400-784 with tanh and Bernoulli pixels, learnt with Adam."""

import keras
import numpy as np

from examples.claims.pictures import as_text, from_text
from keras_dlparts.data import Idx
from keras_dlparts.layers import GaussianSampling
from keras_dlparts.models import Autoencoder


def run(seed, data, epochs, hidden=400, units=20, tested=None, samples=200):
    train = Idx(data, batch_size=100, validation_split=0, binarize="anew", seed=seed)
    # The test images are drawn once, alike for all seeds.
    source = Idx(data, validation_split=0, binarize="once", seed=0)
    x = source.test.arrays()[0][:tested]
    encoder = [keras.layers.Flatten(), keras.layers.Dense(hidden, "tanh")]
    code = GaussianSampling(units)
    model = Autoencoder(encoder, code=code, likelihood="bernoulli")
    rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * len(train.train))
    model.compile(keras.optimizers.Adam(rate))
    model.fit(train.train, epochs=epochs, shuffle=False, verbose=0)
    measured = model.evaluate(x, batch_size=1000, verbose=0, return_dict=True)
    found = model.log_likelihood(x, samples)
    row = {
        "elbo": -measured["loss"],
        "log_likelihood": found.value,
        "deviation": found.deviation,
        "reconstruction": measured["reconstruction"],
        "kl": measured["kl"],
        "active_units": measured["active_units"],
    }
    return row | ({"tiles": as_text(tiles(model, x))} if seed == 0 else {})


def tiles(model, x):
    """Three squares of 8 x 8 images: reconstructions, samples, walks."""
    shown = x[:32]
    pairs = np.stack([shown, model.reconstruct(shown)], 1)
    walks = model.interpolate(x[:8], x[8:16], 8)
    parts = (pairs, model.sample(64, seed=0), walks)
    squares = [np.reshape(part, (8, 8, 28, 28)) for part in parts]
    return np.concatenate(
        [s.transpose(0, 2, 1, 3).reshape(8 * 28, 8 * 28) for s in squares], axis=1
    )


def draw(figure, rows):
    """Digits beside their reconstructions, samples, and walks between two digits."""
    image = next(from_text(row["tiles"]) for row in rows if "tiles" in row)
    titles = (
        "test digits, and what comes back",
        "drawn from the prior",
        "from one digit to another",
    )
    parts = np.split(image, 3, axis=1)
    figure.set_size_inches(9, 3.4)
    for axes, title, part in zip(figure.subplots(1, 3), titles, parts, strict=True):
        axes.imshow(part, cmap="gray_r", vmin=0, vmax=1)
        axes.set_axis_off()
        axes.set_title(title, fontsize=9)
