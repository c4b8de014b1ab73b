"""What batch normalisation does to the loss along the step, after Santurkar et al.

    python examples/batch_norm_smoothness.py [--steps 400] [--every 10]

trains a net on the digits with and without batch normalisation and writes
`benchmarks/results/batch_norm_smoothness.json` and
`docs/figures/batch_norm_smoothness.svg`.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from studies import ROOT, save, write

from keras_dlparts import backend
from keras_dlparts.analysis import along_the_step
from keras_dlparts.data import Digits

RATE, DEPTH, BATCH = 0.1, 8, 128


def net(normalised):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(DEPTH):
        model.add(keras.layers.Dense(64, kernel_initializer="he_normal"))
        if normalised:
            model.add(keras.layers.BatchNormalization())
        model.add(keras.layers.ReLU())
    model.add(keras.layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss)
    return model


def study(steps, every):
    """One row a net: the ranges at every so many steps."""
    x, y = Digits().train.arrays()
    x = (x / np.max(x)).reshape(len(x), -1).astype("float32")
    rows = []
    for normalised in (False, True):
        model, random = net(normalised), np.random.default_rng(0)
        gradient = backend.gradient_function(model)
        row = {"batch_normalisation": normalised, "learning_rate": RATE, "step": []}
        for step in range(steps):
            chosen = random.choice(len(x), BATCH, replace=False)
            batch = x[chosen], y[chosen]
            if step % every == 0:
                found = along_the_step(
                    model, *batch, learning_rate=RATE, gradient=gradient
                )
                row["step"].append(step)
                for name in (
                    "loss_variation",
                    "gradient_predictiveness",
                    "effective_smoothness",
                ):
                    row.setdefault(name, []).append(found[name])
            model.train_on_batch(*batch)
        rows.append(row)
        print(normalised, np.median(row["effective_smoothness"]), flush=True)
    return rows


def draw(rows, path):
    """The paper's figure: two ranges and the effective smoothness, by step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3), layout="constrained")
    panels = figure.subplots(1, 3)
    for row in rows:
        colour = "#0072b2" if row["batch_normalisation"] else "#d55e00"
        label = "with" if row["batch_normalisation"] else "without"
        label += " batch normalisation"
        for axes, name in zip(
            panels, ("loss_variation", "gradient_predictiveness"), strict=False
        ):
            low, high = np.transpose(row[name])
            axes.fill_between(
                row["step"], low, high, color=colour, alpha=0.45, linewidth=0
            )
            axes.set(title=name.replace("_", " "), xlabel="step", yscale="log")
        panels[2].plot(
            row["step"], row["effective_smoothness"], color=colour, label=label
        )
    panels[2].set(title="effective smoothness", xlabel="step", yscale="log")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = study(asked.steps, asked.every)
    write(
        asked.out / "benchmarks/results/batch_norm_smoothness.json",
        f"python examples/batch_norm_smoothness.py --steps {asked.steps} "
        f"--every {asked.every}",
        rows,
    )
    draw(rows, asked.out / "docs/figures/batch_norm_smoothness.svg")


if __name__ == "__main__":
    main()
