"""`predict` before and after `compact`, of nets that keep few weights or few units.

    KERAS_BACKEND=jax python benchmarks/compact.py --images FOLDER [--seed 0]

FOLDER holds MNIST in its own format. LeNet-300-100 is trained twice as the claim
`sparsity_units` does: with `SparsityTarget(0.17, whole_units=True)`, and with
`SparsityTarget(0.0125)`, which chooses weights one by one. Then `strip` of the first,
`compact` of both, and a net of nothing but ten linear outputs take turns to predict the
test images in batches of 256. The last is what `predict` takes for a net without any
hidden unit: its ratio is the bound for what taking out units can gain.
"""

import argparse
import functools
from pathlib import Path

import keras
import numpy as np
from measuring import pairwise, seconds, write

from examples.claims.claim import load
from examples.claims.sparsity.run import trained
from keras_dlparts import compact, strip

WAYS = ("whole units, .17 of the weights", "weights, 1 in 80, then compact")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="in place of the claim's")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    claim, models = load("sparsity_units"), {}
    for way in WAYS:
        keras.utils.set_random_seed(asked.seed)
        settings = claim.asked(way, "hours")
        settings["epochs"] = asked.epochs or settings["epochs"]
        models[way], x, y = trained(asked.seed, asked.images, **settings)
    units, weights = (models[way] for way in WAYS)
    linear = [keras.Input(x.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(10)]
    sides = {
        "whole": strip(units),
        "units": compact(units),
        "weights": compact(weights),
        "linear": keras.Sequential(linear),
    }

    def predicted(name):
        return sides[name].predict(x, batch_size=256, verbose=0)

    found = {name: predicted(name) for name in sides}
    took = {name: [] for name in sides}
    for _ in range(asked.rounds):
        for name in sides:
            took[name].append(seconds(functools.partial(predicted, name)))
    rows = []
    for name, side in sides.items():
        row = {"what": f"whole / {name}", "ratio": pairwise(took["whole"], took[name])}
        if name != "linear":
            row["error"] = 100 * float((found[name].argmax(-1) != y).mean())
            dense = [one for one in side.layers if hasattr(one, "units")]
            row["units"] = [layer.units for layer in dense]
            row["parameters"] = side.count_params()
        rows.append(row)
    rows[1]["difference"] = float(np.abs(found["whole"] - found["units"]).max())
    print(*rows, sep="\n")
    write(rows, "compact", asked.out)


if __name__ == "__main__":
    main()
