"""How many modes of a mixture adversarial nets find: four kinds, on a ring and a grid.

    KERAS_BACKEND=jax python examples/gan_modes.py [--seeds 0 1 2 3 4] [--epochs 16]

Each net learns the mixtures of `data.Gaussians`: 8 modes on a ring, 25 on a grid. Then
2500 samples are drawn; a mode counts if one of them is within three standard
deviations of it, and such samples are of high quality. In the paper of packing (Lin et
al. 2018, tables 1 and 2) a GAN finds 6.3 and 17.3 modes, one packed by two 7.9 and
23.8. There the nets are larger, and learn for 400 epochs.
Writes `benchmarks/results/gan_modes.json` after each net, goes on with what is there,
and draws `docs/figures/gan_modes.svg`.
"""

import argparse
import json

import numpy as np
from studies import ROOT, fitted, save, write

KINDS = {
    "minimax": {"objective": "minimax"},
    "non-saturating": {"objective": "non_saturating"},
    "least squares": {"objective": "least_squares"},
    "packed by 2": {"objective": "non_saturating", "packing": 2},
}
PUBLISHED = {"ring": {"GAN": 6.3, "packed by 2": 7.9}}
PUBLISHED["grid"] = {"GAN": 17.3, "packed by 2": 23.8}
MODES = {"ring": 8, "grid": 25}
SAMPLES = 2500
RESULT = ROOT / "benchmarks" / "results" / "gan_modes.json"


def config(kind, arrangement, seed, epochs, units=128, rate=1e-3):
    def dense(units, activation=None):
        return {"use": "Dense", "units": units, "activation": activation}

    hidden = [dense(units, "relu"), dense(units, "relu")]
    adam = {"use": "Adam", "learning_rate": rate, "beta_1": 0.5}
    return {
        "data": {
            "use": "gaussians",
            "arrangement": arrangement,
            "samples": 100_000,
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
            **KINDS[kind],
        },
        "optimizer": {
            "use": "Phased",
            "groups": {"discriminator": adam, "generator": adam},
        },
        "fit": {"epochs": epochs},
        "seed": seed,
    }


def row(kind, arrangement, seed, epochs, **options):
    """What a net found."""
    from keras_dlparts.metrics import ModeCoverage

    _, made = fitted(config(kind, arrangement, seed, epochs, **options))
    x = made.model.sample(SAMPLES, seed=1000 + seed)
    found = {"kind": kind, "arrangement": arrangement, "seed": seed, "epochs": epochs}
    for measure in ("modes", "high_quality"):
        metric = ModeCoverage(arrangement, measure=measure)
        metric.update_state(None, x)
        found[measure] = float(metric.result())
    return found | {"points": np.round(x[:400], 3).tolist()}


def table(rows):
    """{arrangement: {kind: (mean, standard deviation) of the modes and the share}}."""
    found = {}
    for arrangement in MODES:
        for kind in KINDS:
            own = [
                r for r in rows if (r["arrangement"], r["kind"]) == (arrangement, kind)
            ]
            if own:
                found.setdefault(arrangement, {})[kind] = {
                    measure: (
                        float(np.mean([r[measure] for r in own])),
                        float(np.std([r[measure] for r in own])),
                    )
                    for measure in ("modes", "high_quality")
                }
    return found


def figure(rows):
    """The first seed's samples of every kind, and how many modes they reach."""
    from matplotlib.figure import Figure

    from keras_dlparts.data import Gaussians

    drawn = Figure(figsize=(9, 4.8), layout="constrained")
    axes = drawn.subplots(2, len(KINDS), squeeze=False)
    means = table(rows)
    for line, arrangement in zip(axes, MODES, strict=True):
        centres = Gaussians(arrangement).means
        for axis, kind in zip(line, KINDS, strict=True):
            own = [
                r
                for r in rows
                if (r["arrangement"], r["kind"]) == (arrangement, kind)
                and r.get("points")
            ]
            axis.plot(*centres.T, "o", color="#d55e00", markersize=7, fillstyle="none")
            if own:
                axis.plot(*np.transpose(own[0]["points"]), ".", ms=2, color="#0072b2")
                modes, spread = means[arrangement][kind]["modes"]
                title = f"{kind}: {modes:.1f} ± {spread:.1f} of {MODES[arrangement]}"
                axis.set_title(title, fontsize=9)
            reach = 1.3 * np.abs(centres).max()
            axis.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
            axis.set_aspect("equal")
    return drawn


def study(seeds, epochs):
    rows = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    command = f"KERAS_BACKEND=jax python examples/gan_modes.py --epochs {epochs}"
    command += f" --seeds {' '.join(map(str, seeds))}"
    for seed in seeds:
        for arrangement in MODES:
            for kind in KINDS:
                settings = {"kind": kind, "arrangement": arrangement, "seed": seed}
                settings["epochs"] = epochs
                if any(settings.items() <= r.items() for r in rows):
                    continue
                rows.append(row(**settings))
                if seed != seeds[0]:  # the figure shows those of the first
                    del rows[-1]["points"]
                write(RESULT, command, rows)
                told = f"{rows[-1]['modes']:.0f} modes"
                print(arrangement, kind, seed, told, flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=16)
    arguments = parser.parse_args()
    rows = study(arguments.seeds, arguments.epochs)
    for arrangement, kinds in table(rows).items():
        for kind, found in kinds.items():
            (modes, spread), (share, _) = found["modes"], found["high_quality"]
            print(f"{arrangement:5} {kind:15} {modes:5.1f} ± {spread:.1f}  {share:.0%}")
    save(figure(rows), ROOT / "docs" / "figures" / "gan_modes.svg")


if __name__ == "__main__":
    main()
