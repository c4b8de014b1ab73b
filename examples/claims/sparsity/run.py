"""LeNet-300-100 or LeNet-5, made sparse in several ways: error and compression."""

import keras
from keras import layers as kl

from examples.claims.data import images
from examples.claims.sparsity.references import (
    FallingRate,
    InputNoise,
    counts,
    method_of,
)
from keras_dlparts import many_steps


def trained(
    seed,
    data,
    method,
    setting,
    rate,
    noise,
    epochs,
    widths,
    batch_size,
    filters=(),
    train=None,
):
    """(model, test images, their classes), trained with Adam, whose rate falls linearly
    to 0, and with noise on the inputs.

    `filters` are those of convolutions of 5 x 5 before the dense layers, each followed
    by pooling, and `widths` the units of the dense layers before the last.

    `setting` is the fraction of weights that our layers keep under `target` and
    `units`, the strength of their prior under `ours`, or the sparsity that pruning ends
    with.
    """
    found = images(data, train)
    x, y = found.x[..., None], found.y
    wrap, callbacks = method_of(method, setting, len(x), epochs, seed)
    inputs = keras.Input(x.shape[1:])
    hidden = InputNoise(noise, seed)(inputs)
    for count in filters:
        hidden = kl.MaxPooling2D()(wrap(kl.Conv2D(count, 5, activation="relu"))(hidden))
    hidden = kl.Flatten()(hidden)
    for units in widths:
        hidden = wrap(kl.Dense(units, "relu"))(hidden)
    model = keras.Model(inputs, wrap(kl.Dense(10))(hidden))
    steps = epochs * -(-len(x) // batch_size)
    decay = keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(decay), loss, metrics=["accuracy"])
    callbacks = [FallingRate(), *callbacks]
    batches = many_steps(model, x, y, batch_size, callbacks, seed=seed)
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model, found.x_test[..., None], found.y_test


def run(seed, data, **settings):
    """Its error in % and how many times fewer weights it has left."""
    model, x, y = trained(seed, data, **settings)
    result = model.evaluate(x, y, batch_size=256, verbose=0, return_dict=True)
    left, weights = counts(model)
    return {
        "error": 100 * (1 - result["accuracy"]),
        "compression": weights / max(left, 1),
    }


# Of LeNet-300-100 on MNIST: how many times fewer weights, error in %.
PUBLISHED = {
    "pruning (Han 2015)": (12, 1.59),
    "soft weight sharing": (23, 1.94),
    "dynamic surgery": (56, 1.99),
    "sparse variational dropout": (68, 1.92),
}
COLOURS = {
    "target": "#0072b2",
    "ours": "#56b4e9",
    "magnitude": "#d55e00",
    "variational": "#009e73",
    "dense": "#333333",
}
NAMES = {
    "target": "SparsityTarget",
    "ours": "the layer by itself",
    "magnitude": "magnitude, cubic schedule",
    "variational": "sparse variational dropout",
    "dense": "dense",
}


def draw(figure, rows):
    """The errors of all seeds over how many times fewer weights are left."""
    curve(figure, rows, PUBLISHED, most=100)


def curve(figure, rows, published, most):
    """Error over compression, up to somewhat more than `most`; published points."""
    figure.set_size_inches(8, 4)
    axes = figure.add_subplot()
    for method, color in COLOURS.items():
        found = [row for row in rows if row["settings"]["method"] == method]
        x, y = ([row[name] for row in found] for name in ("compression", "error"))
        if found:
            axes.plot(x, y, "o", color=color, alpha=0.7, label=NAMES[method])
    for name, place in published.items():
        axes.plot(*place, "x", color="#777777")
        at = (4, -14) if name == "sparse variational dropout" else (-5, 2)
        how = {"textcoords": "offset points", "ha": "right", "color": "#555555"}
        axes.annotate(name, place, at, **how)
    axes.plot([], [], "x", color="#777777", label="published")
    axes.set_xscale("log")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 400) if tick <= most]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="times fewer weights", ylabel="test error in %")
    axes.set_xlim(0.9, 1.4 * most)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", frameon=False)
