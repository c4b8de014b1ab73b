"""Over-fitting: house prices by polynomials, and what L1 and L2 do to two weights.

    python examples/overfitting.py [--seeds 0 1 2]

writes `benchmarks/results/overfitting.json`, `docs/figures/overfitting.svg` and
`docs/figures/l1_l2.svg`.

houses     made data: price = 1 + 2.4 s - 1.2 s^2 plus noise, s the size from 0 to 1,
           12 houses. Polynomials of degree 2 and 5 are fitted by Newton's method; the
           third has degree 5 and Keras' `L2` on its powers 3 to 5 only.
geometry   a linear model of two weights under Keras' `L1` and `L2`: which of the two
           penalties makes a weight vanish.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from keras import layers as kl
from studies import ROOT, save, write

import keras_dlparts

HOUSES, NOISE = 12, 0.12
RIDGE = 0.03  # the best of 0.0003, 0.003 and 0.03 on the seeds 100 to 102
STRENGTHS = (0.01, 0.1, 0.3, 0.6, 1.0, 1.5)


def price(s):
    return 1 + 2.4 * s - 1.2 * s**2


def houses(seed, count=HOUSES):
    """(sizes, prices) of houses, sizes from -1 to 1 so that the powers differ."""
    random = np.random.default_rng(seed)
    s = random.random(count)
    return 2 * s - 1, price(s) + NOISE * random.normal(size=count)


def polynomial(degree, ridge=0.0):
    """A model from the powers of x to the price, with a ridge on the high ones."""
    x = keras.Input((degree,))
    low, high = x[:, :2], x[:, 2:]
    y = kl.Dense(1, kernel_initializer="zeros", name="low")(low)
    if degree > 2:
        penalty = keras.regularizers.L2(ridge) if ridge else None
        wide = kl.Dense(
            1,
            use_bias=False,
            kernel_initializer="zeros",
            kernel_regularizer=penalty,
            name="high",
        )
        y = kl.Add()([y, wide(high)])
    model = keras.Model(x, y)
    model.compile(loss="mse")
    return model


def powers(x, degree):
    return np.stack([x ** (p + 1) for p in range(degree)], axis=1).astype("float32")


def house_rows(seeds, ridge=RIDGE):
    """Rows: training and test error of three polynomials, and their curves."""
    grid = np.linspace(-1, 1, 201)
    for seed in seeds:
        x, y = houses(seed)
        test_x, test_y = houses(seed + 1000, 2000)
        for name, degree, penalty in (
            ("degree 2", 2, 0.0),
            ("degree 5", 5, 0.0),
            ("degree 5, ridge on powers 3 to 5", 5, ridge),
        ):
            model = polynomial(degree, penalty)
            target = y[:, None].astype("float32")
            keras_dlparts.newton(model, powers(x, degree), target, verbose=0)

            def error(at, prices, model=model, degree=degree):
                found = model(powers(at, degree))
                found = keras.ops.convert_to_numpy(found)[:, 0]
                return float(np.sqrt(np.mean((found - prices) ** 2)))

            curve = keras.ops.convert_to_numpy(model(powers(grid, degree)))[:, 0]
            yield {
                "what": "houses",
                "model": name,
                "seed": seed,
                "train_rmse": error(x, y),
                "test_rmse": error(test_x, test_y),
                "curve": curve[::5].tolist(),
            }


def weighed():
    """(x, y) whose best weights are (0.4, 1.2), the inputs being correlated."""
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 2)) @ np.array([[1.0, 0.4], [0.0, 0.9]])
    return x.astype("float32"), (x @ [0.4, 1.2])[:, None].astype("float32")


def geometry_rows():
    """Rows: the two weights that each penalty leaves, by its strength."""
    x, y = weighed()
    for name, penalty in (("L1", keras.regularizers.L1), ("L2", keras.regularizers.L2)):
        for strength in STRENGTHS:
            dense = kl.Dense(
                1,
                use_bias=False,
                kernel_initializer="zeros",
                kernel_regularizer=penalty(strength),
            )
            model = keras.Sequential([keras.Input((2,)), dense])
            rate = keras.optimizers.schedules.ExponentialDecay(0.1, 20, 0.8)
            model.compile(keras.optimizers.SGD(rate), "mse", steps_per_execution=20)
            model.fit(x, y, 10, epochs=12, verbose=0)
            weights = dense.get_weights()[0][:, 0].tolist()
            yield {
                "what": "geometry",
                "penalty": name,
                "strength": strength,
                "weights": weights,
            }


def draw_houses(found, path):
    from matplotlib.figure import Figure

    seeds = sorted({row["seed"] for row in found})
    figure = Figure(figsize=(3.1 * len(seeds), 3.4), layout="constrained")
    colours = ("#009e73", "#d55e00", "#0072b2")
    plots = figure.subplots(1, len(seeds), sharey=True, squeeze=False)[0]
    for axes, seed in zip(plots, seeds, strict=True):
        x, y = houses(seed)
        axes.plot((x + 1) / 2, y, "o", color="black", markersize=4)
        at = np.linspace(0, 1, 41)
        axes.plot(at, price(at), ":", color="#999999", label="true")
        rows = [row for row in found if row["seed"] == seed]
        for row, colour in zip(rows, colours, strict=True):
            axes.plot(at, row["curve"], color=colour, label=row["model"])
        axes.set(xlabel="size", title=f"seed {seed}", ylim=(0.6, 2.6))
    plots[0].set(ylabel="price")
    handles, labels = plots[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    save(figure, path)


def draw_geometry(found, path):
    from matplotlib.figure import Figure

    x, y = weighed()
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    a, b = np.meshgrid(np.linspace(-0.6, 1.2, 80), np.linspace(-0.4, 1.8, 80))
    weights = np.stack([a.ravel(), b.ravel()])
    loss = ((x @ weights - y) ** 2).mean(axis=0).reshape(a.shape)
    for axes, name in zip(
        figure.subplots(1, 2, sharey=True), ("L1", "L2"), strict=True
    ):
        axes.contour(a, b, loss, levels=8, colors="#cccccc", linewidths=0.8)
        rows = [row["weights"] for row in found if row["penalty"] == name]
        path_of = np.array([[0.4, 1.2], *rows])
        axes.plot(*path_of.T, "o-", color="#0072b2", markersize=4)
        at = rows[-1]
        size = sum(map(abs, at)) if name == "L1" else np.hypot(*at)
        turn = np.linspace(0, 2 * np.pi, 201)
        edge = np.stack([np.cos(turn), np.sin(turn)])
        edge /= np.abs(edge).sum(axis=0) if name == "L1" else 1
        axes.plot(*(size * edge), color="#d55e00", linewidth=1)
        axes.set(title=name, xlabel="first weight", ylabel="second weight")
        axes.set(xlim=(-0.6, 1.2), ylim=(-0.4, 1.8))
        axes.axvline(0, color="black", linewidth=0.5)
        axes.axhline(0, color="black", linewidth=0.5)
        axes.set_aspect("equal")
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ridge", type=float, default=RIDGE)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = list(house_rows(asked.seeds, asked.ridge))
    for row in rows:
        print({key: value for key, value in row.items() if key != "curve"}, flush=True)
    shapes = list(geometry_rows())
    for row in shapes:
        print(row, flush=True)
    path = asked.out / "benchmarks/results/overfitting.json"
    seeds = " ".join(map(str, asked.seeds))
    write(path, f"python examples/overfitting.py --seeds {seeds}", rows + shapes)
    draw_houses(rows, asked.out / "docs/figures/overfitting.svg")
    draw_geometry(shapes, asked.out / "docs/figures/l1_l2.svg")


if __name__ == "__main__":
    main()
