"""A search beside the same one written by hand for KerasTuner; two workers beside one.

    python benchmarks/search.py [--rounds 5] [--trials 6]

Each side is a process of its own, from the start of Python to its end, and the sides
take turns: by hand, ours, ours with two workers. By hand is a script of KerasTuner's
own API with the same space, trials, seed, epochs and batches, its weights kept as
KerasTuner keeps them. A figure is the median over the rounds of the ratio in a round.
Seconds of the processor, the children's included, are compared too: unlike the clock
they hardly feel what else the machine does.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from measuring import pairwise, process, write

SIDES = ("hand", "1", "2")  # by hand, and the number of workers
CONFIG = {
    "data": {"use": "mnist1d", "samples": 8000, "batch_size": 64},
    "model": [
        "Flatten",
        {
            "use": "Dense",
            "units": {"search": "int", "min": 256, "max": 512},
            "activation": "relu",
        },
        {"use": "Dropout", "rate": {"search": "float", "min": 0.0, "max": 0.5}},
        {"use": "Dense", "units": 256, "activation": "relu"},
        {"use": "Dense", "units": 10},
    ],
    "optimizer": {
        "use": "Adam",
        "learning_rate": {
            "search": "float",
            "min": 1e-4,
            "max": 1e-2,
            "scale": "log",
        },
    },
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "deterministic": False,  # nor is the other
}


def by_hand(folder, trials, epochs):
    """What a user of KerasTuner writes."""
    import keras
    import keras_tuner
    import numpy as np

    from keras_dlparts.data import Mnist1d

    data = Mnist1d(samples=8000, batch_size=64)
    x, y = data.train.arrays()

    def build(hp):
        model = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(hp.Int("units", 256, 512), activation="relu"),
                keras.layers.Dropout(hp.Float("rate", 0.0, 0.5)),
                keras.layers.Dense(256, activation="relu"),
                keras.layers.Dense(10),
            ]
        )
        rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
        return model

    tuner = keras_tuner.RandomSearch(
        build, "val_loss", max_trials=trials, seed=1, directory=folder
    )
    tuner.search(
        np.asarray(x),
        np.asarray(y),
        batch_size=64,
        epochs=epochs,
        validation_data=data.validation.arrays(),
        verbose=0,
    )


def ours(folder, trials, epochs, workers):
    from keras_dlparts import search

    config = {**CONFIG, "fit": {"epochs": epochs}}
    search(config, out=folder / "s", trials=trials, workers=workers)


def measured(side, trials, epochs):
    """What one side took, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--side", side, "--folder", folder]
        told = process([*command, "--trials", trials, "--epochs", epochs])
    del told["printed"]
    return told


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--side")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=[*SIDES])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.side == "hand":
        return by_hand(asked.folder, asked.trials, asked.epochs)
    if asked.side:
        workers = int(asked.side)
        return ours(asked.folder, asked.trials, asked.epochs, workers)
    taken = {side: [] for side in asked.sides}
    load = []
    for n in range(asked.rounds):
        sides = list(taken) if n % 2 else list(taken)[::-1]
        load.append(os.getloadavg()[0])
        for side in sides:
            taken[side].append(measured(side, asked.trials, asked.epochs))
            print(side, taken[side][-1], flush=True)

    def ratio(over, under, column):
        return pairwise(
            [each[column] for each in taken[over]],
            [each[column] for each in taken[under]],
        )

    compared = {
        "one worker / by hand, clock": ("1", "hand", "seconds"),
        "one worker / by hand, processor": ("1", "hand", "processor_seconds"),
        "one worker / by hand, memory": ("1", "hand", "peak_mb"),
        "one worker / two workers, clock": ("1", "2", "seconds"),
    }
    rows = [
        {"what": what, "ratio": ratio(*sides)}
        for what, sides in compared.items()
        if {*sides[:2]} <= {*taken}
    ]
    rows += [
        {"what": "each process", "each": taken},
        {"what": "the machine's load before each round", "each": load},
    ]
    for row in rows:
        print(json.dumps(row))
    return write(rows, "search", asked.out)


if __name__ == "__main__":
    main()
