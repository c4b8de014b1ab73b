"""Nets built by hand: what they cost, and how exactly they compute.

    python examples/circuits.py

writes `benchmarks/results/circuits.json` and, of it,
`docs/figures/circuits_sawtooth.svg` and `docs/figures/circuits_approximation.svg`.

size           units, depth and weights of each circuit
approximation  the largest error on 20000 points by N and L, for a function of slope 2.4
               at most in one, two and three dimensions, beside (N L)^(-2/d); and of as
               many steps as the one hidden layer of `piecewise_constant` has units
"""

import argparse
from pathlib import Path

import numpy as np
from studies import ROOT, save, write

from keras_dlparts.models import circuits

SIZES = ((2, 2), (2, 4), (4, 4), (8, 4), (8, 8), (16, 8), (16, 16))
POINTS = 20000


def wave(x):
    """A function of slope 2.4 at most, with corners."""
    far = np.sqrt(((x - 0.3) ** 2).sum(axis=1))
    return far + np.abs(np.sin(9 * far)) / 9 - 0.4 * x[:, 0]


def sizes():
    """Rows: what each circuit costs."""
    majority = circuits.boolean(lambda *x: sum(x) > 3, inputs=7)
    made = {
        "boolean, majority of 7": majority,
        "boolean, parity of 10": circuits.boolean(lambda *x: sum(x) % 2, inputs=10),
        "parity of 10": circuits.parity(10),
        "parity of 1000": circuits.parity(1000),
        "alternating, 3 levels of 2": circuits.alternating(3, 2),
        "alternating, 5 levels of 2": circuits.alternating(5, 2),
        "product of 5 sums of 4": circuits.product_of_sums(np.ones((5, 4))),
        "the same expanded": circuits.product_of_sums(np.ones((5, 4)), expanded=True),
        "sawtooth of 1024 teeth": circuits.sawtooth(11),
        "bits of 24": circuits.bits(24),
        "bit sum of 24": circuits.bit_sum(24),
        "approximate, N 8, L 8, d 1": circuits.approximate(wave, 1, 8, 8),
        "approximate, N 8, L 8, d 2": circuits.approximate(wave, 2, 8, 8),
    }
    for name, model in made.items():
        size = circuits.size(model)
        yield {
            "circuit": name,
            "units": size.units,
            "depth": size.depth,
            "weights": size.weights,
        }


def largest_error(model, x):
    return float(np.abs(model.predict(x, 1000, verbose=0)[:, 0] - wave(x)).max())


def approximations():
    """Rows: the largest error by N and L."""
    for inputs in (1, 2, 3):
        x = np.random.default_rng(0).random((POINTS, inputs)).astype("float32")
        for width, depth in SIZES:
            model = circuits.approximate(wave, inputs, width, depth)
            yield {
                "inputs": inputs,
                "width": width,
                "depth": depth,
                "weights": circuits.size(model).weights,
                "error": largest_error(model, x),
                "rate": (width * depth) ** (-2 / inputs),
            }
    x = np.random.default_rng(0).random((POINTS, 1)).astype("float32")
    for steps in (15, 63, 255, 1023):
        edges = np.arange(1, steps + 1) / (steps + 1)
        middles = (np.arange(steps + 1)[:, None] + 0.5) / (steps + 1)
        model = circuits.piecewise_constant(edges, wave(middles), gap=1e-5)
        yield {
            "inputs": 1,
            "steps": steps,
            "weights": circuits.size(model).weights,
            "error": largest_error(model, x),
        }


def draw_sawtooth(path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.2), layout="constrained")
    x = np.arange(1025)[:, None] / 1024
    for axes, depth in zip(
        figure.subplots(1, 4, sharey=True), (1, 2, 4, 6), strict=True
    ):
        axes.plot(x, circuits.sawtooth(depth).predict(x, verbose=0), color="#0072b2")
        axes.set(title=f"depth {depth}, teeth: {2 ** (depth - 1)}")
        axes.set(xticks=[0, 0.5, 1], yticks=[0, 1])
    save(figure, path)


def draw_approximation(found, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    by_size, by_weights = figure.subplots(1, 2, sharey=True)
    for inputs, colour in ((1, "#0072b2"), (2, "#009e73"), (3, "#d55e00")):
        rows = [r for r in found if r["inputs"] == inputs and "width" in r]
        product = [r["width"] * r["depth"] for r in rows]
        errors = [r["error"] for r in rows]
        by_size.plot(product, errors, "o-", color=colour, label=f"d = {inputs}")
        by_size.plot(product, [r["rate"] for r in rows], "--", color=colour)
        if inputs == 1:
            by_weights.plot(
                [r["weights"] for r in rows], errors, "o-", color=colour, label="deep"
            )
    steps = [r for r in found if "steps" in r]
    by_weights.plot(
        [r["weights"] for r in steps],
        [r["error"] for r in steps],
        "s-",
        color="#999999",
        label="one hidden layer",
    )
    by_size.set(xlabel="N L", ylabel="largest error", xscale="log", yscale="log")
    by_weights.set(xlabel="weights, 1 input", xscale="log")
    for axes in (by_size, by_weights):
        axes.legend(frameon=False)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    size_rows, error_rows = list(sizes()), list(approximations())
    for row in (*size_rows, *error_rows):
        print(row, flush=True)
    path = asked.out / "benchmarks/results/circuits.json"
    rows = {"size": size_rows, "approximation": error_rows}
    write(path, "python examples/circuits.py", rows)
    figures = asked.out / "docs/figures"
    draw_sawtooth(figures / "circuits_sawtooth.svg")
    draw_approximation(error_rows, figures / "circuits_approximation.svg")


if __name__ == "__main__":
    main()
