"""Santurkar et al.'s experiment: is it the shift of a layer's inputs that hurts?

    python examples/noisy_batch_normalization.py [--epochs 20] [--seeds 0 1 2]

trains `noisy_batch_normalization.yaml` with batch normalisation, with noise after it,
and without both, and writes `benchmarks/results/noisy_batch_normalization.json`. The
shift is how far the mean of a hidden unit moves from one step to the next, in units of
its deviation: the mean over the units and the last 20 steps.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from studies import ROOT, fitted, write

HERE = Path(__file__).resolve().parent
KINDS = ("Identity", "BatchNormalization", "NoisyBatchNormalization")


def shift(model, batches, layer, steps=20):
    """How far the batch means of what comes after a layer move, step by step."""
    hidden = keras.Model(model.inputs[0], [model.output, layer.output])
    x, y = batches[0]
    means, deviations = [], []
    for _ in range(steps):
        values = keras.ops.convert_to_numpy(hidden(x, training=True)[1])
        means.append(values.mean(axis=0))
        deviations.append(values.std(axis=0))
        model.train_on_batch(x, y)
    moved = abs(np.diff(means, axis=0)) / (np.mean(deviations, axis=0) + 1e-6)
    return float(moved.mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = []
    for kind in KINDS:
        row = {"normalisation": kind, "loss": [], "test_error": [], "shift": []}
        for seed in asked.seeds:
            sets = [
                f"model[1].of[0].default={kind}",
                f"fit.epochs={asked.epochs}",
                f"seed={seed}",
            ]
            history, made = fitted(HERE / "noisy_batch_normalization.yaml", sets)
            _, accuracy = made.model.evaluate(made.data.test, verbose=0)
            row["loss"].append(history["loss"])
            row["test_error"].append(100 * (1 - accuracy))
            last = [one for one in made.model.layers if type(one).__name__ == kind][-1]
            row["shift"].append(shift(made.model, made.data.train, last))
        print(kind, [loss[-1] for loss in row["loss"]], row["test_error"], row["shift"])
        rows.append(row)
    seeds = " ".join(map(str, asked.seeds))
    write(
        asked.out / "benchmarks/results/noisy_batch_normalization.json",
        f"python examples/noisy_batch_normalization.py --epochs {asked.epochs} "
        f"--seeds {seeds}",
        rows,
    )


if __name__ == "__main__":
    main()
