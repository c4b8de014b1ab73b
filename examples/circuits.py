"""Nets built by hand: the units, the depth and the weights of each, and a sawtooth.

    python examples/circuits.py

writes `benchmarks/results/circuits.json` and `docs/figures/circuits_sawtooth.svg`. How
the errors of such nets fall with their size is a claim: `claims/width_and_depth`.
"""

import argparse
from pathlib import Path

import numpy as np
from claims.width_and_depth.run import wave
from studies import ROOT, save, write

from keras_dlparts.models import circuits


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = list(sizes())
    for row in rows:
        print(row, flush=True)
    path = asked.out / "benchmarks/results/circuits.json"
    write(path, "python examples/circuits.py", rows)
    draw_sawtooth(asked.out / "docs/figures/circuits_sawtooth.svg")


if __name__ == "__main__":
    main()
