"""The loss and its gradient along the steps of a net with or without batch norm."""

import keras
import numpy as np

from examples.claims.data import flat_images
from keras_dlparts import backend
from keras_dlparts.analysis import along_the_step

RATE, DEPTH, BATCH = 0.1, 8, 128
RANGES = "loss_variation", "gradient_predictiveness"


def run(seed, data, batch_norm, steps, every, units, points):
    """The ranges at every so many steps of gradient descent, and their medians."""
    found = flat_images(data)
    x = found.x
    model = keras.Sequential([keras.Input((784,))])
    for _ in range(DEPTH):
        model.add(keras.layers.Dense(units, kernel_initializer="he_normal"))
        if batch_norm:
            model.add(keras.layers.BatchNormalization())
        model.add(keras.layers.ReLU())
    model.add(keras.layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss)
    gradient, random = backend.gradient_function(model), np.random.default_rng(seed)
    row = {"step": [], **{name: [] for name in RANGES}, "effective_smoothness": []}
    for step in range(steps):
        chosen = random.choice(len(x), BATCH, replace=False)
        batch = x[chosen], found.y[chosen]
        if step % every == 0:
            options = {"learning_rate": RATE, "points": points, "gradient": gradient}
            there = along_the_step(model, *batch, **options)
            row["step"].append(step)
            for name in (*RANGES, "effective_smoothness"):
                row[name].append(there[name])
        model.train_on_batch(*batch)
    low, high = np.transpose(row["loss_variation"])
    smoothness = row["effective_smoothness"]
    return {
        "loss_ratio": float(np.median(high / low)),
        "gradient_change": float(np.median(np.max(row[RANGES[1]], axis=1))),
        "smoothness": float(np.median(smoothness)),
        "late_smoothness": float(
            np.median(smoothness[-max(len(smoothness) // 3, 1) :])
        ),
        **row,
    }


def draw(figure, rows):
    """The paper's figure for one seed: two ranges and the smoothness, by step."""
    figure.set_size_inches(10, 3.3)
    panels = figure.subplots(1, 3)
    first = min(row["seed"] for row in rows)
    for row in rows:
        color = "#0072b2" if row["settings"]["batch_norm"] else "#d55e00"
        if row["seed"] == first:
            for axes, name in zip(panels, RANGES, strict=False):
                low, high = np.transpose(row[name])
                axes.fill_between(row["step"], low, high, color=color, alpha=0.45, lw=0)
                title = f"{name.replace('_', ' ')}, seed {first}"
                axes.set(title=title, xlabel="step", yscale="log")
        label = row["way"] if row["seed"] == first else None
        smoothness = row["effective_smoothness"]
        panels[2].plot(row["step"], smoothness, color=color, label=label, lw=0.8)
    panels[2].set(title="effective smoothness, all seeds", xlabel="step", yscale="log")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
