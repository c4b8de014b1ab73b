"""A small net on few labelled digits, augmented in the space of a sequence's contexts.

An autoencoder of sequences reads images as 28 rows of 28 pixels into one vector and
writes them again, without labels. The net then learns from the vectors of 100 or 1000
labelled images.
"""

import functools

import keras
import numpy as np

from examples.claims.data import flat_images, images
from examples.claims.pictures import as_text, by_way, from_text
from keras_dlparts.layers import FeatureSpaceAugmentation, LayerNormGRU
from keras_dlparts.models import EncoderDecoder

LABELS = 100, 1000
BATCH = 50


def run(seed, data, mode, train, epochs, steps, units=128, context=64, labels=LABELS):
    """Test errors in %; `mode` is None for the pixels themselves."""
    found = flat_images(data) if mode is None else images(data)
    model, encode = learnt(seed, data, train, epochs, units, context)
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(1000 + seed)
    row = {}
    for count, name in zip(labels, ("error_100", "error_1000"), strict=True):
        places = balanced(found.y, count, random)
        few, tested = found.x[places], found.x_test
        if mode is not None:
            few, tested = encode(few), encode(tested)
        row[name] = error(few, found.y[places], tested, found.y_test, mode, steps)
    if seed == 0:
        row["tiles"] = as_text(strip(model, found, mode))
    return row


@functools.lru_cache(maxsize=1)  # all ways of a seed look at the same contexts
def learnt(seed, data, train, epochs, units, context):
    """(an autoencoder, a function that gives contexts of mean 0 and deviation 1)."""
    keras.utils.set_random_seed(seed)
    found = images(data)
    x = found.x[np.random.default_rng(seed).permutation(len(found.x))[:train]]
    cells = LayerNormGRU(units), LayerNormGRU(units)
    model = EncoderDecoder(*cells, context=context, activation="sigmoid")
    model.compile(keras.optimizers.Adam(2e-3, clipnorm=1.0), "binary_crossentropy")
    model.fit(x, x, 100, epochs, verbose=0)
    c = model.encode(x)
    mean, deviation = c.mean(axis=0), c.std(axis=0) + 1e-6
    return model, lambda x: (model.encode(x) - mean) / deviation


def augmentation(mode, memory, seed=None):
    """The paper's settings: gamma = lambda = .5, ten neighbours of the same class."""
    return FeatureSpaceAugmentation(mode, neighbours=10, memory=memory, seed=seed)


def balanced(y, count, random):
    """The places of so many samples, as many of each class."""
    return np.concatenate(
        [random.choice(np.flatnonzero(y == k), count // 10, False) for k in range(10)]
    )


def error(features, labels, tested, wanted, mode, steps):
    """The test error in % of a net that learns from these for so many steps."""
    c, label = keras.Input(features.shape[1:]), keras.Input((), dtype="int32")
    h = c
    if mode not in (None, "none"):
        h = augmentation(mode, len(features))([h, label])
    for _ in range(2):
        h = keras.layers.Dense(256, activation="relu")(h)
        h = keras.layers.Dropout(0.5)(h)
    model = keras.Model([c, label], keras.layers.Dense(10)(h))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    epochs = max(1, steps * BATCH // len(features))
    model.fit([features, labels], labels, BATCH, epochs, verbose=0)
    inputs = [tested, np.zeros(len(tested), "int32")]  # labels are not used any more
    found = model.evaluate(inputs, wanted, 1000, verbose=0, return_dict=True)
    return 100 * (1 - found["accuracy"])


def strip(model, found, mode):
    """Ten test digits: as they are, as they are written, or from other contexts."""
    x, y = found.x_test[:2000], found.y_test[:2000]
    places = [np.flatnonzero(y == k)[0] for k in range(10)]
    if mode is None:
        shown = x[places]
    elif mode == "none":
        shown = model.generate(x[places])
    else:
        shown = model.augment(x, y, augmentation(mode, len(x), seed=0))[places]
    return np.reshape(shown, (10, 28, 28)).transpose(1, 0, 2).reshape(28, 280)


def draw(figure, rows):
    """What contexts are decoded to, and the test errors."""
    ways = list(dict.fromkeys(row["way"] for row in rows))
    shown = {row["way"]: row["tiles"] for row in rows if "tiles" in row}
    figure.set_size_inches(11, 3.4)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.2])
    grid = left.subplots(len(ways), 1)
    for axes, way in zip(grid, ways, strict=True):
        axes.imshow(from_text(shown[way]), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(way, rotation=0, ha="right", va="center", size=8)
    panels = right.subplots(1, 2, sharey=True)
    for axes, name, count in zip(
        panels, ("error_100", "error_1000"), LABELS, strict=True
    ):
        by_way(axes, rows, name, ways)
        axes.set_xlabel(f"test error in %, {count} labels")
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(ways)), ways)
    panels[0].invert_yaxis()
