"""Examples a second of two devices of a processor over those of one, by model.

    KERAS_BACKEND=tensorflow python benchmarks/distribute.py [--rounds 15]
    KERAS_BACKEND=jax        python benchmarks/distribute.py [--rounds 15]

`mirrored` on TensorFlow, `jax_data_parallel` on JAX. Both set-ups take the same global
batches, live in one process and are timed in turn. One device uses all cores already,
so two can win no more than it leaves idle: the figures tell what sharing costs, not
what a second GPU brings.
"""

import argparse
import statistics
import time
from pathlib import Path

from measuring import pairwise, write
from multi_worker import BATCH, STEPS, made


def timed(strategy, model, batches):
    """Seconds of a pass over the batches, less its first step."""
    import keras

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            float(logs["loss"])  # what runs on in the background is waited for
            if batch == 0:
                self.began = time.perf_counter()

    clock = Clock()
    with strategy.scope():
        model.fit(batches, shuffle=False, verbose=0, callbacks=[clock])
    return time.perf_counter() - clock.began


def measured(strategies, name, rounds):
    setups = {}
    for count, strategy in strategies.items():
        with strategy.scope():
            setups[count] = (strategy, *made(name))
        timed(*setups[count])  # compiles
    took = {count: [] for count in setups}
    for i in range(rounds):
        for count in [*setups] if i % 2 else [*setups][::-1]:
            took[count].append(timed(*setups[count]))
    return {
        "what": f"examples a second of 2 replicas / of one device, {name}",
        "batch": BATCH[name],
        "parameters": setups[1][1].count_params(),
        "ratio": pairwise(took[1], took[2]),
        "ms_a_step": {
            count: 1000 * statistics.median(times) / STEPS[name]
            for count, times in took.items()
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--models", nargs="+", default=[*STEPS], choices=[*STEPS])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()

    from keras_dlparts import backend, distribute

    name = {"tensorflow": "mirrored", "jax": "jax_data_parallel"}[backend.name()]
    strategies = {
        2: distribute.strategy(name, devices=2),
        1: distribute.strategy("none"),
    }
    rows = [measured(strategies, model, asked.rounds) for model in asked.models]
    for row in rows:
        print(row)
    write(rows, f"distribute_{backend.name()}", asked.out)


if __name__ == "__main__":
    main()
