"""A small adversarial net on a mixture: 8 modes on a ring, or 25 on a grid.

A mode counts if one of 2500 samples is within three standard deviations of it, and such
samples are of high quality.
"""

import numpy as np

from examples.studies import fitted
from keras_dlparts.metrics import ModeCoverage

MODES = {"ring": 8, "grid": 25}


def run(
    seed,
    data,
    arrangement,
    objective="non_saturating",
    packing=1,
    epochs=16,
    samples=100_000,
    units=128,
    rate=1e-3,
):
    def dense(units, activation=None):
        return {"use": "Dense", "units": units, "activation": activation}

    hidden = [dense(units, "relu"), dense(units, "relu")]
    adam = {"use": "Adam", "learning_rate": rate, "beta_1": 0.5}
    config = {
        "data": {
            "use": "gaussians",
            "arrangement": arrangement,
            "samples": samples,
            "batch_size": 128,
            "validation_split": 0,
            "seed": seed,
        },
        "model": {
            "use": "GAN",
            "generator": [*hidden, dense(2)],
            "discriminator": [*hidden, dense(1)],
            "latent": 2,
            "seed": seed,
            "objective": objective,
            "packing": packing,
        },
        "optimizer": {
            "use": "Phased",
            "groups": {"discriminator": adam, "generator": adam},
        },
        "fit": {"epochs": epochs},
        "seed": seed,
    }
    _, made = fitted(config)
    x = made.model.sample(2500, seed=1000 + seed)
    found = {}
    for measure in ("modes", "high_quality"):
        metric = ModeCoverage(arrangement, measure=measure)
        metric.update_state(None, x)
        found[measure] = float(metric.result())
    # One seed's samples are enough for the picture.
    points = np.round(x[:400], 3).tolist() if seed == 0 else []
    return found | {"points": points}


def draw(figure, rows):
    """The first seed's samples of every kind, and how many modes all seeds reach."""
    from keras_dlparts.data import Gaussians

    first = [row for row in rows if row["seed"] == rows[0]["seed"]]
    across = len(first) // len(MODES)
    figure.set_size_inches(9, 4.8)
    panels = figure.subplots(len(MODES), across, squeeze=False)
    for arrangement, line in zip(MODES, panels, strict=True):
        centres = Gaussians(arrangement).means
        own = [r for r in first if r["settings"]["arrangement"] == arrangement]
        for axes, row in zip(line, own, strict=True):
            modes = [r["modes"] for r in rows if r["way"] == row["way"]]
            told = f"{np.mean(modes):.1f} ± {np.std(modes):.1f} of {MODES[arrangement]}"
            axes.set_title(f"{row['way']}: {told}", fontsize=8)
            axes.plot(*centres.T, "o", color="#d55e00", markersize=7, fillstyle="none")
            if row["points"]:
                axes.plot(*np.transpose(row["points"]), ".", ms=2, color="#0072b2")
            reach = 1.3 * np.abs(centres).max()
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
            axes.set_aspect("equal")
