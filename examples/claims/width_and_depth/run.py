"""The largest errors of nets that are built by hand for a function, by their size.

The net of width N and depth L is `circuits.approximate`; one hidden layer is as many
steps as it has units, `circuits.piecewise_constant`.
"""

import numpy as np

from keras_dlparts.models import circuits

AFFORDED = 3100  # weights of the nets whose errors are compared
LAST = 3  # sizes from which the exponent comes


def run(seed, data, inputs, points, sizes, steps, shallow=False):
    """The errors on random points of the unit cube, and how they fall."""
    x = np.random.default_rng(seed).random((points, inputs)).astype("float32")
    if shallow:
        made = [stairs(count) for count in steps]
    else:
        made = [circuits.approximate(wave, inputs, n, depth) for n, depth in sizes]
    errors = [largest_error(model, x) for model in made]
    weights = [circuits.size(model).weights for model in made]
    afforded = [e for e, w in zip(errors, weights, strict=True) if w <= AFFORDED]
    row = {"error": afforded[-1], "errors": errors, "weights": weights}
    if not shallow:
        products = np.prod(sizes, axis=1)
        slope, _ = np.polyfit(np.log(products[-LAST:]), np.log(errors[-LAST:]), 1)
        row |= {"exponent": float(slope), "products": products.tolist()}
    return row


def wave(x):
    """A function of slope 2.4 at most, with corners."""
    far = np.sqrt(((x - 0.3) ** 2).sum(axis=1))
    return far + np.abs(np.sin(9 * far)) / 9 - 0.4 * x[:, 0]


def stairs(count):
    """The function of one input as `count` steps of equal width, one a unit."""
    edges = np.arange(1, count + 1) / (count + 1)
    middles = (np.arange(count + 1)[:, None] + 0.5) / (count + 1)
    return circuits.piecewise_constant(edges, wave(middles), gap=1e-5)


def largest_error(model, x):
    return float(np.abs(model.predict(x, 1000, verbose=0)[:, 0] - wave(x)).max())


def draw(figure, rows):
    """The error by N L beside its rate, and by weights beside one hidden layer."""
    figure.set_size_inches(9, 3.4)
    by_size, by_weights = figure.subplots(1, 2, sharey=True)
    for row in rows:
        inputs, errors = row["settings"]["inputs"], row["errors"]
        label = row["way"] if row["seed"] == rows[0]["seed"] else None
        colour = ("#0072b2", "#009e73", "#d55e00")[inputs - 1]
        if row["settings"].get("shallow"):
            by_weights.plot(row["weights"], errors, "s-", color="#999999", label=label)
            continue
        by_size.plot(row["products"], errors, "o-", color=colour, label=label)
        rates = np.array(row["products"]) ** (-2 / inputs)
        by_size.plot(row["products"], rates, "--", color=colour)
        if inputs == 1:
            by_weights.plot(row["weights"], errors, "o-", color=colour, label=label)
    by_size.set(xlabel="N L (dashed: the rate)", xscale="log", yscale="log")
    by_size.set_ylabel("largest error")
    by_weights.set(xlabel="weights", xscale="log")
    for axes in (by_size, by_weights):
        axes.legend(frameon=False, fontsize=8)
