"""How many patterns Hopfield networks hold: the classical ones, and the modern one.

    python examples/hopfield.py [--units 1500] [--seeds 0 1 2]

Classical: random patterns are stored, and each of at most 50 is recalled from itself.
The overlap of what comes out with the pattern is 1 if no unit changed. With Hebb's rule
it falls at a load of .138 patterns a unit (Amit, Gutfreund & Sompolinsky 1985).
Modern: random vectors of length sqrt(d) are stored, and looked up from copies to which
noise of a tenth of their length is added, with beta = 1 and until nothing moves. The
number sought is the largest of which 95 of 100 come back to within a twentieth of their
length.
Writes `benchmarks/results/hopfield.json` and `docs/figures/hopfield.svg`.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from keras import ops
from studies import ROOT, save, write

from keras_dlparts.layers import Hopfield, ModernHopfield

LOADS = {
    "hebb": (0.02, 0.05, 0.08, 0.11, 0.13, 0.138, 0.145, 0.16, 0.2, 0.3),
    "storkey": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
    "pseudo_inverse": (0.1, 0.3, 0.5, 0.7, 0.9, 0.98),
}
DIMENSIONS = (8, 10, 12, 14, 16, 18, 20)
MOST = 2**16  # patterns of the modern network
RECALLED = 50
LOOKED_UP = 200


def classical(rule, load, units, seed):
    """(mean overlap, share of patterns recalled without an error)."""
    random = np.random.default_rng([seed, round(1000 * load)])
    patterns = random.choice([-1.0, 1.0], (round(load * units), units))
    layer = Hopfield(rule, steps=100)
    with warnings.catch_warnings():  # patterns are lost: that is what is measured
        warnings.simplefilter("ignore", UserWarning)
        layer.store(patterns)
    shown = patterns[:RECALLED]
    overlap = (ops.convert_to_numpy(layer.recall(shown)) * shown).mean(axis=1)
    return float(overlap.mean()), float((overlap == 1).mean())


def comes_back(count, dimension, seed):
    """The share of vectors that come back, with `count` of them stored at a time."""
    random = np.random.default_rng([seed, count, dimension])
    times = -(-LOOKED_UP // count)
    stored = _on_sphere(random, (times, count, dimension), 1.0)
    wanted = stored[:, :LOOKED_UP]
    noisy = wanted + _on_sphere(random, wanted.shape, 0.1)
    layer = ModernHopfield(beta=1.0, steps=None)
    found = ops.convert_to_numpy(layer([noisy, stored]))
    error = np.linalg.norm(found - wanted, axis=-1)
    return float((error < 0.05 * np.sqrt(dimension)).mean())


def _on_sphere(random, shape, radius):
    """Random vectors of the length `radius * sqrt(d)`."""
    x = random.normal(size=shape)
    x *= radius * np.sqrt(shape[-1]) / np.linalg.norm(x, axis=-1, keepdims=True)
    return x.astype("float32")


def most(dimension, seed):
    """The largest power of sqrt(2), rounded, of vectors that come back."""
    held = 1
    for power in range(2, 2 * round(np.log2(MOST)) + 1):
        count = round(2 ** (power / 2))
        if comes_back(count, dimension, seed) < 0.95:
            break
        held = count
    return held


def study(units, seeds, dimensions):
    rows = []
    for rule, loads in LOADS.items():
        for load in loads:
            found = [classical(rule, load, units, seed) for seed in seeds]
            overlap, exact = zip(*found, strict=True)
            row = {"rule": rule, "units": units, "load": load}
            rows.append({**row, "overlap": [*overlap], "exact": [*exact]})
            print(rows[-1], flush=True)
    for dimension in dimensions:
        held = [most(dimension, seed) for seed in seeds]
        rows.append({"rule": "modern", "dimension": dimension, "held": held})
        print(rows[-1], flush=True)
    return rows


COLORS = {"hebb": "#d55e00", "storkey": "#0072b2", "pseudo_inverse": "#009e73"}


def draw(rows, path):
    """Overlap over load, exact recalls over load, and the modern one's capacity."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    overlaps, exact, modern = figure.subplots(1, 3)
    for axes, key in ((overlaps, "overlap"), (exact, "exact")):
        for rule, color in COLORS.items():
            its = [row for row in rows if row["rule"] == rule]
            loads = [row["load"] for row in its]
            means = [np.mean(row[key]) for row in its]
            axes.plot(loads, means, "o-", ms=3, color=color, label=rule)
            for load, row in zip(loads, its, strict=True):
                axes.plot([load] * len(row[key]), row[key], ".", ms=2, color=color)
        axes.set(xlabel="patterns stored a unit", ylim=(-0.03, 1.03))
    overlaps.axvline(0.138, color="gray", ls=":", lw=1)
    overlaps.set_ylabel("overlap of a pattern with what is recalled")
    exact.set_ylabel("share of patterns without any error")
    overlaps.legend(frameon=False)
    its = [row for row in rows if row["rule"] == "modern"]
    dimensions = np.array([row["dimension"] for row in its])
    middle = [np.exp(np.mean(np.log(row["held"]))) for row in its]
    modern.semilogy(dimensions, middle, "o-", ms=3, color="#cc79a7", label="modern")
    for row in its:
        modern.plot(
            [row["dimension"]] * len(row["held"]),
            row["held"],
            ".",
            ms=2,
            color="#cc79a7",
        )
    modern.semilogy(
        dimensions, 0.138 * dimensions, ":", color=COLORS["hebb"], label="0.138 d"
    )
    modern.set(xlabel="dimension d", ylabel="vectors that come back")
    modern.legend(frameon=False)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=1500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--dimensions", type=int, nargs="+", default=DIMENSIONS)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = study(asked.units, asked.seeds, asked.dimensions)
    seeds = " ".join(map(str, asked.seeds))
    write(
        asked.out / "benchmarks/results/hopfield.json",
        f"python examples/hopfield.py --units {asked.units} --seeds {seeds}",
        rows,
    )
    draw(rows, asked.out / "docs/figures/hopfield.svg")


if __name__ == "__main__":
    main()
