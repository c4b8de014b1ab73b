"""Nets with batch norm, with noise after it, and with neither; and how inputs shift."""

from pathlib import Path

import keras
import numpy as np

from examples.studies import fitted

CONFIG = Path(__file__).with_name("config.yaml")


def run(seed, data, kind, epochs, repeat=16, samples=10_000):
    """The loss and the errors of a net, and the shift of its last normalization."""
    sets = [
        f"data.path={data}",
        f"data.samples={samples}",
        f"model[2].of[0].default={kind}",
        f"model[2].repeat={repeat}",
        f"fit.epochs={epochs}",
        f"seed={seed}",
    ]
    history, made = fitted(CONFIG, sets)
    _, accuracy = made.model.evaluate(made.data.test, verbose=0)
    last = [one for one in made.model.layers if type(one).__name__ == kind][-1]
    return {
        "loss": history["loss"][-1],
        "test_error": 100 * (1 - accuracy),
        "shift": shift(made.model, made.data.train, last),
        "losses": history["loss"],
    }


def shift(model, batches, layer, steps=20):
    """How far the mean of a unit moves in a step, in units of its deviation.

    That is the mean over the units that follow the layer, and over further steps of
    training on one batch. Units that do not vary count as still.
    """
    hidden = keras.Model(model.inputs[0], [model.output, layer.output])
    x, y = batches[0]
    means, deviations = [], []
    for _ in range(steps):
        values = keras.ops.convert_to_numpy(hidden(x, training=True)[1])
        means.append(values.mean(axis=0))
        deviations.append(values.std(axis=0))
        model.train_on_batch(x, y)
    moved = abs(np.diff(means, axis=0)) / (np.mean(deviations, axis=0) + 1e-6)
    return float(moved.mean())


def draw(figure, rows):
    """The training loss by epoch, seed by seed."""
    figure.set_size_inches(8, 3.6)
    axes = figure.add_subplot()
    ways = list(dict.fromkeys(row["way"] for row in rows))
    for row in rows:
        color = ("#d55e00", "#0072b2", "#009e73")[ways.index(row["way"])]
        label = row["way"] if row["seed"] == rows[0]["seed"] else None
        at = range(1, len(row["losses"]) + 1)
        axes.plot(at, row["losses"], color=color, label=label)
    axes.set(xlabel="epoch", ylabel="training loss", yscale="log")
    figure.legend(loc="outside right")
