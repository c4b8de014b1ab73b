"""House prices by polynomials, fitted by Newton's method, with and without a ridge."""

import keras
import numpy as np
from keras import layers as kl

import keras_dlparts
from examples.claims.pictures import by_way

HOUSES, OTHERS, NOISE = 12, 2000, 0.12
COLOURS = "#009e73", "#d55e00", "#0072b2"
SHOWN = 3  # seeds whose curves are drawn


def run(seed, data, degree, ridge=0.0):
    """Errors on the houses that are fitted and on others, and the curve."""
    model = polynomial(degree, ridge)

    def prices(x):
        y = model(powers(x, degree))
        return keras.ops.convert_to_numpy(y)[:, 0]

    def error(x, y):
        return float(np.sqrt(np.mean((prices(x) - y) ** 2)))

    x, y = houses(seed, HOUSES)
    keras_dlparts.newton(
        model, powers(x, degree), y[:, None].astype("float32"), verbose=0
    )
    return {
        "train_rmse": error(x, y),
        "test_rmse": error(*houses(seed + 1000, OTHERS)),
        "curve": prices(np.linspace(-1, 1, 41)).tolist() if seed < SHOWN else [],
    }


def price(s):
    return 1 + 2.4 * s - 1.2 * s**2


def houses(seed, count):
    """(sizes, prices) of houses, sizes from -1 to 1 so that the powers differ."""
    random = np.random.default_rng(seed)
    s = random.random(count)
    return 2 * s - 1, price(s) + NOISE * random.normal(size=count)


def powers(x, degree):
    return np.stack([x ** (p + 1) for p in range(degree)], axis=1).astype("float32")


def polynomial(degree, ridge):
    """A model from the powers of x to the price, with a ridge on the high ones."""
    x = keras.Input((degree,))
    y = kl.Dense(1, kernel_initializer="zeros")(x[:, :2])
    if degree > 2:
        penalty = keras.regularizers.L2(ridge) if ridge else None
        options = {"kernel_initializer": "zeros", "kernel_regularizer": penalty}
        y = kl.Add()([y, kl.Dense(1, use_bias=False, **options)(x[:, 2:])])
    model = keras.Model(x, y)
    model.compile(loss="mse")
    return model


def draw(figure, rows):
    """Curves of the first seeds, and the errors of all of them."""
    seeds = list(dict.fromkeys(row["seed"] for row in rows))[:SHOWN]
    ways = list(dict.fromkeys(row["way"] for row in rows))
    figure.set_size_inches(12, 3.4)
    curves, errors = figure.subfigures(1, 2, width_ratios=[2.2, 1])
    at = np.linspace(0, 1, 41)
    panels = curves.subplots(1, len(seeds), sharey=True, squeeze=False)[0]
    for axes, seed in zip(panels, seeds, strict=True):
        x, y = houses(seed, HOUSES)
        axes.plot((x + 1) / 2, y, "o", color="black", markersize=4)
        axes.plot(at, price(at), ":", color="#999999", label="true")
        for row in rows:
            if row["seed"] == seed:
                colour = COLOURS[ways.index(row["way"])]
                axes.plot(at, row["curve"], color=colour, label=row["way"])
        axes.set(xlabel="size", title=f"seed {seed}", ylim=(0.6, 2.6))
    panels[0].set(ylabel="price")
    handles = panels[0].get_legend_handles_labels()
    curves.legend(*handles, loc="outside lower center", ncols=4, frameon=False)
    axes = errors.add_subplot()
    by_way(axes, rows, "test_rmse", ways)
    axes.axvline(NOISE, color="gray", linestyle=":")
    axes.set_xlabel("error on other houses")
    axes.set_yticks(range(len(ways)), [way.replace(", ", ",\n") for way in ways])
    axes.invert_yaxis()
