"""Random patterns, stored by a rule, and each of some recalled from itself."""

import warnings

import numpy as np
from keras import ops

from keras_dlparts.layers import Hopfield

RECALLED = 50  # patterns, of each load
SHOWN = (0.13, 0.2)  # loads whose overlap is a figure, where they are tried


def run(seed, data, rule, loads, units):
    """Overlap with the pattern and share of exact recalls, for each load."""
    found = [recalled(rule, load, units, seed) for load in loads]
    overlaps, exact = zip(*found, strict=True)
    all_exact = [load for load, share in zip(loads, exact, strict=True) if share == 1]
    return {
        "exact_load": max(all_exact, default=0.0),
        **{
            f"overlap_{100 * load:.0f}": overlaps[loads.index(load)]
            for load in SHOWN
            if load in loads
        },
        "overlaps": [*overlaps],
        "exact": [*exact],
    }


def recalled(rule, load, units, seed):
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


def draw(figure, rows):
    """Overlap and exact recalls over the load."""
    panels = figure.subplots(1, 2)
    for axes, key in zip(panels, ("overlaps", "exact"), strict=True):
        for way in dict.fromkeys(row["way"] for row in rows):
            its = [row for row in rows if row["way"] == way]
            loads = its[0]["settings"]["loads"]
            means = np.mean([row[key] for row in its], axis=0)
            (line,) = axes.plot(loads, means, "-", lw=1, label=way)
            for row in its:
                axes.plot(loads, row[key], "o", ms=2.5, color=line.get_color())
        axes.set(xlabel="patterns stored a unit", ylim=(-0.03, 1.03))
    panels[0].axvline(0.138, color="gray", ls=":", lw=1, label="theory: .138")
    panels[0].set_ylabel("overlap of a pattern with what is recalled")
    panels[1].set_ylabel("share of patterns without any error")
    panels[0].legend(frameon=False, fontsize=8)
