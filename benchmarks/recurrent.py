"""Layer-normalised recurrent layers beside Keras' plain ones and beside their cells.

    KERAS_BACKEND=jax python benchmarks/recurrent.py [--grid | --memory] [--out FILE]

For each shape three layers take turns in one process, so that a ratio holds while the
machine's speed drifts: Keras' plain layer, ours, and our cell in `keras.layers.RNN`.
A figure is the median over the rounds of the pairwise ratio to Keras' plain layer.
`--grid` runs all shapes of the grid; without it, the two of the goal: time 100, batch
64, units 256. `--memory` measures the memory of those two instead, each layer in a
process of its own: its peak, and how far that lies above the peak before training.
`--only train`, `--only predict` leave the other out, `--kinds LSTM` the other layers;
`--shape TIME BATCH UNITS INPUTS`, once or more, takes the place of the two shapes.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path

from measuring import pairwise, process, write

KINDS = "LSTM", "GRU"
GOAL = [(100, 64, 256, 64), (100, 64, 256, 512)]
GRID = [*itertools.product((20, 100, 500), (1, 64), (64, 256, 512), (32, 512))]


def layers(kind, units):
    import keras

    from keras_dlparts import layers

    cell = getattr(layers, f"LayerNorm{kind}Cell")
    return {
        "keras": lambda: getattr(keras.layers, kind)(units),
        "ours": lambda: getattr(layers, f"LayerNorm{kind}")(units),
        "cell": lambda: keras.layers.RNN(cell(units)),
    }


def steps(layer, shape):
    """(a training step, a prediction) as functions without arguments."""
    import keras
    import numpy as np

    time_steps, batch, _, features = shape
    inputs = keras.Input((time_steps, features), batch_size=batch)
    model = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(batch, time_steps, features))
    x, y = x.astype("float32"), np.zeros((batch, 1), "float32")
    return (
        lambda: model.train_on_batch(x, y),
        lambda: model.predict(x, batch_size=batch, verbose=0),
    )


def timed(function):
    start = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - start)


def compare(kind, shape, rounds, only=None):
    """Milliseconds and ratios to Keras' layer, of a step and of a prediction."""
    import numpy as np

    made = {name: steps(make(), shape) for name, make in layers(kind, shape[2]).items()}
    row = {}
    for at, what in enumerate(("train", "predict")):
        if only not in (None, what):
            continue
        for pair in made.values():
            pair[at](), pair[at]()
        took = [
            {name: timed(pair[at]) for name, pair in made.items()}
            for _ in range(rounds)
        ]
        for name in made:
            row[f"{what}_ms_{name}"] = round(np.median([t[name] for t in took]), 1)
            if name != "keras":
                row[f"{what}_ratio_{name}"] = pairwise(
                    *([t[side] for t in took] for side in (name, "keras"))
                )
    return row


def memory(kind, shape):
    """Peaks in MB of processes that train a layer each, and the rise by training."""
    found = {}
    for name in ("keras", "ours"):
        command = [sys.executable, __file__, "--train", kind, name, *map(str, shape)]
        last = process(command)["printed"].splitlines()[-1]
        found[name] = [round(float(mb)) for mb in last.split()]
    (peak, rise), (our_peak, our_rise) = found["keras"], found["ours"]
    return {
        "peak_mb": {"keras": peak, "ours": our_peak},
        "rise_mb": {"keras": rise, "ours": our_rise},
        "peak_ratio": round(our_peak / peak, 3),
        "rise_ratio": round(our_rise / rise, 3),
    }


def train_and_print_peak(kind, name, *shape):
    from keras_dlparts.training.log import peak_memory_mb

    shape = tuple(map(int, shape))
    train, _ = steps(layers(kind, shape[2])[name](), shape)
    before = peak_memory_mb()
    for _ in range(3):
        train()
    print(peak_memory_mb(), peak_memory_mb() - before)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--grid", action="store_true")
    parser.add_argument("--shape", nargs=4, type=int, action="append")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--only", choices=("train", "predict"))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=[*KINDS])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--train", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train_and_print_peak(*options.train)
        return
    import keras

    backend = keras.backend.backend()
    rows = []
    for kind in options.kinds:
        for shape in GRID if options.grid else options.shape or GOAL:
            if options.memory:
                found = memory(kind, shape)
            else:
                found = compare(kind, shape, options.rounds, options.only)
            named = zip(("time", "batch", "units", "inputs"), shape, strict=True)
            rows.append({"kind": kind, **dict(named), **found})
            medians = {
                key: value["median"] if isinstance(value, dict) else value
                for key, value in found.items()
                if "ratio" in key
            }
            print(backend, kind, shape, medians, flush=True)
    kept = "grid" if options.grid else "memory" if options.memory else ""
    kept = "short" if options.shape else kept
    write(rows, "_".join(["recurrent", *kept.split(), backend]), options.out)


if __name__ == "__main__":
    main()
