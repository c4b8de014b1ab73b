"""A convolutional adversarial net on stacked digits: how many of 1000 modes it finds.

A sample's mode is what a classifier, trained on single digits in the same run, says of
its three channels. With n_k of N samples in mode k of K the divergence is

    sum_k n_k / N log(K n_k / N)

The classifier's own errors would fill modes that nothing reached, so that stacks of
test digits are put through it too: all their modes must be told rightly nearly always.
"""

import keras
import numpy as np
from keras import layers as kl

from examples.claims.data import images
from examples.claims.pictures import as_text, from_text
from examples.studies import fitted

CLASSES = 10
LEAST_ACCURACY = 0.95  # of three digits at once


def run(
    seed,
    data,
    packing,
    batch_size,
    samples,
    tested,
    steps,
    filters,
    latent,
    classifier_epochs,
):
    _, made = fitted(
        config(seed, data, packing, batch_size, samples, steps, filters, latent)
    )
    digits = images(data)
    classifier = classifier_of(digits, classifier_epochs)
    stacks, told = (part[:tested] for part in made.data.test.arrays())
    accuracy = float(np.mean(modes(classifier, stacks) == told))
    if samples >= 10_000 and accuracy < LEAST_ACCURACY:
        raise RuntimeError(
            f"the classifier knows only {accuracy:.1%} of stacked test digits, and "
            f"must know {LEAST_ACCURACY:.0%} for its modes to count"
        )
    x = made.model.sample(tested, seed=seed)
    counts = np.bincount(modes(classifier, x), minlength=CLASSES**3)
    share = counts[counts > 0] / len(x)
    row = {
        "modes": int((counts > 0).sum()),
        "divergence": float(np.sum(share * np.log(CLASSES**3 * share))),
        "stacks_known": accuracy,
    }
    if seed:
        return row
    # One seed's samples and counts are enough for the picture.
    frequent = np.sort(counts)[::-1].tolist()
    return row | {"frequent": frequent, "tiles": as_text(tiles(x[:36]))}


def config(seed, data, packing, batch_size, samples, steps, filters, latent):
    """The net of Radford et al. 2016, from 4 x 4 places up to 28 x 28 and back."""
    start = {"use": "RandomNormal", "stddev": 0.02, "seed": seed}
    shared = {"padding": "same", "strides": 2, "kernel_initializer": start}

    def up(count, **options):
        return {
            "use": "Conv2DTranspose",
            "filters": count,
            "kernel_size": 5,
            **shared,
            **options,
        }

    def down(count):
        return {"use": "Conv2D", "filters": count, "kernel_size": 5, **shared}

    leaky = {"use": "LeakyReLU", "negative_slope": 0.2}
    generator = [
        {"use": "Dense", "units": 64 * filters, "kernel_initializer": start},
        {"use": "Reshape", "target_shape": [4, 4, 4 * filters]},
        "BatchNormalization",
        "ReLU",
        up(2 * filters),
        {"use": "Cropping2D", "cropping": [[0, 1], [0, 1]]},  # 8 x 8 to 7 x 7
        "BatchNormalization",
        "ReLU",
        up(filters),
        "BatchNormalization",
        "ReLU",
        up(3, activation="tanh"),
        {"use": "Rescaling", "scale": 0.5, "offset": 0.5},
    ]
    discriminator = [
        {"use": "Rescaling", "scale": 2, "offset": -1},  # the paper's are in [-1, 1]
        *(down(filters), leaky),
        *(down(2 * filters), "BatchNormalization", leaky),
        *(down(4 * filters), "BatchNormalization", leaky),
        "Flatten",
        {"use": "Dense", "units": 1, "kernel_initializer": start},
    ]
    adam = {"use": "Adam", "learning_rate": 2e-4, "beta_1": 0.5}
    digits = {"use": "idx", "path": str(data), "validation_split": 0}
    return {
        "data": {
            "use": "stacked",
            "source": digits,
            "samples": samples,
            "batch_size": batch_size,
            "validation_split": 0,
            "seed": seed,
        },
        "model": {
            "use": "GAN",
            "generator": generator,
            "discriminator": discriminator,
            "latent": latent,
            "packing": packing,
            "seed": seed,
        },
        "optimizer": {
            "use": "Phased",
            "groups": {"discriminator": adam, "generator": adam},
        },
        "fit": {"epochs": max(1, steps * batch_size // samples)},
        "seed": seed,
    }


def classifier_of(digits, epochs):
    """A small convolution net that knows single digits."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            kl.Conv2D(32, 5, activation="relu"),
            kl.MaxPooling2D(),
            kl.Conv2D(64, 5, activation="relu"),
            kl.MaxPooling2D(),
            kl.Flatten(),
            kl.Dropout(0.5),
            kl.Dense(CLASSES),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    model.fit(digits.x[..., None], digits.y, batch_size=128, epochs=epochs, verbose=0)
    return model


def modes(classifier, x):
    """The number of each stack's mode, of its three digits."""
    channels = np.moveaxis(np.asarray(x), -1, 1).reshape(-1, 28, 28, 1)
    told = classifier.predict(channels, batch_size=1024, verbose=0).argmax(-1)
    return told.reshape(-1, 3) @ np.array([CLASSES**2, CLASSES, 1])


def tiles(x):
    """A square of 6 x 6 images."""
    square = np.reshape(x, (6, 6, 28, 28, 3)).transpose(0, 2, 1, 3, 4)
    return square.reshape(6 * 28, 6 * 28, 3)


def draw(figure, rows):
    """Samples of the first seed, way by way, and how its samples spread over modes."""
    first = [row for row in rows if "tiles" in row]
    figure.set_size_inches(9, 3)
    *panels, spread = figure.subplots(1, len(first) + 1)
    for axes, row in zip(panels, first, strict=True):
        found = [each["modes"] for each in rows if each["way"] == row["way"]]
        axes.imshow(from_text(row["tiles"]))
        axes.set_axis_off()
        axes.set_title(f"{row['way']}\n{np.mean(found):.0f} modes of 1000", fontsize=8)
        spread.plot(np.arange(1, CLASSES**3 + 1), row["frequent"], label=row["way"])
    spread.set(xscale="log", yscale="symlog", ylim=(0, None))
    spread.set(xlabel="modes, the most frequent first", ylabel="samples in the mode")
    spread.legend(frameon=False, fontsize=7)
