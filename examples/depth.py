"""Pictures of what the theory of deep nets says: phases, activations, iterated maps.

    python examples/depth.py

writes `docs/figures/depth_*.svg`: the phases of tanh, a panel an activation, the
cobweb and the compositions of the logistic map. What nets do is in `claims/`.
"""

import argparse
from pathlib import Path

import numpy as np
from studies import ROOT, save

from keras_dlparts.analysis import cobweb, composed_graphs, phase_diagram
from keras_dlparts.initializers.gaussian_means import critical, tabulated


def activations():
    """A panel an activation: function, slope, where it is flat, critical weights."""
    from matplotlib.figure import Figure

    names = (
        "sigmoid tanh softsign hard_tanh relu leaky_relu elu selu softplus gelu silu"
    )
    names = [*names.split(), "mish"]
    figure = Figure(figsize=(9, 6.2), layout="constrained")
    spots = figure.subplots(3, 4, sharex=True).ravel()
    x = np.linspace(-5, 5, 401)
    for axes, name in zip(spots, names, strict=True):
        table = tabulated(name)
        value, slope = table.at(x)
        flat = np.abs(slope) < 0.05 * np.abs(slope).max()
        axes.fill_between(x, -2, 3, where=flat, color="0.85", lw=0)
        axes.plot(x, value, label="function")
        axes.plot(x, slope, "--", label="derivative")
        try:
            weight, _ = critical(table, 0.0)
            told = rf"$\sigma_w^2 = {weight:.3g}$"
        except ValueError:
            told = "none without biases"
        axes.set_title(f"{name}: {told}", size=9)
        axes.set(ylim=(-1.5, 2.5), xlim=(-5, 5))
        axes.grid(alpha=0.3)
    spots[0].legend(fontsize=7, loc="upper left")
    return figure


def pictures():
    """{name: Figure}."""

    def logistic(x):
        return 3.5 * x * (1 - x)

    tanh = phase_diagram("tanh")
    return {
        "cobweb": cobweb(logistic, 0.2),
        "composed": composed_graphs(logistic, (1, 2, 4)),
        "phases": tanh.figure({"Glorot, LeCun": (1.0, 0.0), "He": (2.0, 0.0)}),
        "activations": activations(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    for what, picture in pictures().items():
        save(picture, asked.out / f"docs/figures/depth_{what}.svg")


if __name__ == "__main__":
    main()
