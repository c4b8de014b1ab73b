"""A trained net of two hidden layers, trained on with layers that change nothing.

shallow     two hidden layers, trained for all epochs
deepened    the same after half of them, with identities added
residual    as `deepened`, with residual blocks in place of identities
scratch     as deep, from Glorot's weights, trained for all epochs
"""

import functools

import keras
import numpy as np
from keras import layers as kl

from examples.claims.data import flat_images
from keras_dlparts import deepen

BATCH, RATE = 128, 0.02


def run(seed, data, net, added=0, epochs=12, units=32, train=None):
    """The training loss after each epoch, and both errors in % at the end."""
    both, half = split(data, train), epochs // 2
    x = both[0][0]
    change = 0.0
    if net == "scratch":
        losses, errors = fit(plain(2 + added, units, seed), both, epochs, seed)
    else:
        weights, before = begun(seed, data, half, units, train)
        start = plain(2, units, seed)
        start.set_weights(weights)
        model = keras.models.clone_model(start)
        model.set_weights(weights)
        if added:
            block = "residual" if net == "residual" else "auto"
            model = deepen(start, added, block=block, verbose=0)
        ours, theirs = (m.predict(x[:1000], verbose=0) for m in (start, model))
        change = float(np.abs(ours - theirs).max())
        losses, errors = fit(model, both, epochs - half, seed + 1000)
        losses = [*before, *losses]
    return {
        "train_error": errors[0],
        "test_error": errors[1],
        "change_of_outputs": change,
        "loss": losses,
    }


def split(data, train):
    """(training, test): images as rows, and labels."""
    found = flat_images(data, train)
    return (found.x, found.y), (found.x_test, found.y_test)


def plain(hidden, units, seed):
    keras.utils.set_random_seed(seed)
    layers = [kl.Dense(units, "relu") for _ in range(hidden)]
    return keras.Sequential([keras.Input((784,)), *layers, kl.Dense(10)])


@functools.lru_cache(maxsize=1)  # nets of a seed begin with the same half
def begun(seed, data, epochs, units, train):
    both = split(data, train)
    model = plain(2, units, seed)
    losses, _ = fit(model, both, epochs, seed)
    return model.get_weights(), losses


def fit(model, both, epochs, seed):
    """(the training loss after each epoch in inference, both errors in %)."""
    train, test = both
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
        100 * (1 - model.evaluate(*data, batch_size=1000, verbose=0)[1])
        for data in (train, test)
    ]
    return losses, errors


def draw(figure, rows):
    """Training loss by epoch, a panel for each number of layers added."""
    more = sorted({row["settings"].get("added", 0) for row in rows} - {0})
    figure.set_size_inches(4.2 * len(more), 3.6)
    colours = {
        "shallow": "#999999",
        "deepened": "#0072b2",
        "residual": "#009e73",
        "scratch": "#d55e00",
    }
    panels = figure.subplots(1, len(more), squeeze=False)[0]
    for axes, added in zip(panels, more, strict=True):
        for name, colour in colours.items():
            label = name
            for row in rows:
                settings = row["settings"]
                if settings["net"] == name and settings.get("added", 0) in (0, added):
                    line = row["loss"]
                    at = range(1, len(line) + 1)
                    axes.plot(at, line, color=colour, label=label)
                    label = None
        axes.axvline(len(line) // 2, color="#cccccc", linewidth=0.8, zorder=0)
        axes.set(xlabel="epoch", ylabel="training loss", yscale="log")
        axes.set_title(f"{added} layers added to 2", size=10)
    lines = axes.get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=4, frameon=False)
