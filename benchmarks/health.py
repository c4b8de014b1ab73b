"""What watching the units of a net costs a training.

    KERAS_BACKEND=jax python benchmarks/health.py

Epochs of 300 steps with `ActivationHealth` at its default (each 100 steps) over epochs
without, in one process and by turns; the first epoch of each training, which compiles,
is left out and told apart. Two nets on made data of MNIST's shape, batches of 64, in a
plain `fit`.
"""

import argparse
import statistics
import time
from pathlib import Path

import keras
import numpy as np
from measuring import pairwise, write

from keras_dlparts.callbacks import ActivationHealth

ROUNDS, EPOCHS, STEPS, BATCH = 3, 4, 300, 64


def dense():
    layers = [keras.layers.Dense(256, "relu") for _ in range(3)]
    return [keras.layers.Flatten(), *layers, keras.layers.Dense(10)]


def convolutional():
    layers = [
        keras.layers.Conv2D(16, 3, strides=s, padding="same", activation="relu")
        for s in (2, 1, 2, 1)
    ]
    return [*layers, keras.layers.Flatten(), keras.layers.Dense(10)]


class Seconds(keras.callbacks.Callback):
    """How long each epoch took."""

    def on_train_begin(self, logs=None):
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(time.perf_counter() - self.began)


def trained(layers, data, watched):
    """Seconds of the epochs of one training."""
    model = keras.Sequential([keras.Input((28, 28, 1)), *layers()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss)
    seconds = Seconds()
    x, y = data
    batch = ActivationHealth(data=(x[:BATCH], y[:BATCH]))
    callbacks = [batch, seconds] if watched else [seconds]
    model.fit(x, y, BATCH, EPOCHS, verbose=0, callbacks=callbacks)
    return seconds.epochs


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    x = random.random((STEPS * BATCH, 28, 28, 1), "float32")
    data, rows = (x, random.integers(0, 10, len(x))), []
    for layers in (dense, convolutional):
        epochs = {False: [], True: []}
        first = {False: [], True: []}
        for _ in range(ROUNDS):
            for watched in (False, True):
                begin, *rest = trained(layers, data, watched)
                epochs[watched].append(statistics.median(rest))
                first[watched].append(begin)
        rows.append(
            {
                "net": layers.__name__,
                "ms_per_step": 1000 * statistics.median(epochs[False]) / STEPS,
                "ratio": pairwise(epochs[True], epochs[False]),
                "seconds_to_compile_it": statistics.median(first[True])
                - statistics.median(first[False]),
            }
        )
        print(rows[-1], flush=True)
    write(rows, f"health_{keras.backend.backend()}", asked.out)


if __name__ == "__main__":
    main()
