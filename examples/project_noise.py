"""Dropout as data augmentation: a net without dropout, trained on projected noise.

    python examples/project_noise.py [--rounds 6] [--seeds 0 1]

Bouthillier et al. 2015 find for a dropout mask the input that would have had its
effect. Here a net without dropout is trained on such inputs beside the real ones: in
each round the masks of a net with dropout that shares its layers are projected, with
the weights of the moment. It is compared with training on the data alone, with Dropout
and with RandomDropout, over the same number of steps. Writes
`benchmarks/results/project_noise.json` and `docs/figures/project_noise.svg`.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from keras import layers as kl
from studies import ROOT, save, write

import keras_dlparts
from keras_dlparts.data import Digits
from keras_dlparts.layers import RandomDropout

EPOCHS = 6  # of the data alone, a round


def nets(drop):
    """A net with noise and one without it that has the same layers."""
    first, second = kl.Dense(128, "relu"), kl.Dense(128, "relu")
    last = kl.Dense(10)
    inputs = keras.Input((64,))
    noisy = keras.Sequential(
        [inputs, first, drop("after_layer_1"), second, drop("after_layer_2"), last]
    )
    clean = keras.Sequential([inputs, first, second, last])
    for model in (noisy, clean):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
    return noisy, clean


DROPS = {
    "Dropout(0.5)": lambda name: kl.Dropout(0.5, name=name),
    "RandomDropout(0.9)": lambda name: RandomDropout(0.9, name=name),
}


def fit(model, x, y, epochs):
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)


def train(drop, how, x, y, rounds, seed):
    """(the net to ask, the last projection, or None)."""
    keras.utils.set_random_seed(seed)
    noisy, clean = nets(DROPS[drop])
    if how == "dropped":
        fit(noisy, x, y, rounds * EPOCHS)
        return noisy, None
    if how == "alone":
        fit(clean, x, y, rounds * EPOCHS)
        return clean, None
    fit(clean, x, y, EPOCHS)
    for i in range(1, rounds):
        search = keras.optimizers.SGD(0.2, momentum=0.9)
        found = keras_dlparts.project_noise(
            noisy, x, steps=60, seed=[seed, i], optimizer=search
        )
        parts = [x, *found.inputs.values()]
        # As many samples as in the other rounds, one in three of them real.
        fit(clean, np.concatenate(parts), np.tile(y, len(parts)), EPOCHS // len(parts))
    return clean, found


ROWS = (
    ("data alone", "Dropout(0.5)", "alone"),
    ("Dropout(0.5)", "Dropout(0.5)", "dropped"),
    ("projected Dropout(0.5)", "Dropout(0.5)", "projected"),
    ("RandomDropout(0.9)", "RandomDropout(0.9)", "dropped"),
    ("projected RandomDropout(0.9)", "RandomDropout(0.9)", "projected"),
)


def study(rounds, seeds):
    digits = Digits(batch_size=64)
    x, y = digits.train.arrays()
    rows, last = [], None
    for name, drop, how in ROWS:
        row = {"trained on": name, "test_error": [], "test_loss": [], "residual": {}}
        for seed in seeds:
            model, found = train(drop, how, x, y, rounds, seed)
            loss, accuracy = model.evaluate(*digits.test.arrays(), verbose=0)
            row["test_error"].append(100 * (1 - accuracy))
            row["test_loss"].append(loss)
            if found is not None:
                row["residual"] = {
                    k: float(v.mean()) for k, v in found.residual.items()
                }
                last = last or (x, found)
        print(row, flush=True)
        rows.append(row)
    return rows, last


def draw(rows, last, path):
    """Digits and their projections, and the test errors."""
    from matplotlib.figure import Figure

    x, found = last
    columns = [("x", x), *found.inputs.items()]
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.6])
    grid = left.subplots(5, len(columns))
    for j, (name, images) in enumerate(columns):
        grid[0, j].set_title(name.replace("_", " ").replace("after", "x*"), size=9)
        for i, axes in enumerate(grid[:, j]):
            axes.imshow(images[i].reshape(8, 8), cmap="gray_r", vmin=-1, vmax=2)
            axes.set(xticks=[], yticks=[])
    axes = right.subplots()
    for i, row in enumerate(rows):
        errors = row["test_error"]
        axes.plot(errors, [i] * len(errors), "o", color="#56b4e9", mec="white")
        axes.plot([np.mean(errors)], [i], "|", color="#0072b2", ms=22, mew=3)
    axes.set_yticks(range(len(rows)), [row["trained on"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("test error, %; a dot a seed, a bar their mean")
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows, last = study(asked.rounds, asked.seeds)
    seeds = " ".join(map(str, asked.seeds))
    write(
        asked.out / "benchmarks/results/project_noise.json",
        f"python examples/project_noise.py --rounds {asked.rounds} --seeds {seeds}",
        rows,
    )
    draw(rows, last, asked.out / "docs/figures/project_noise.svg")


if __name__ == "__main__":
    main()
