"""Does it pay to fetch the next batch while a step runs?

    KERAS_BACKEND=jax python benchmarks/feeding.py [--pairs 7]

An epoch's time with a thread that fetches one batch ahead over one without it, pair by
pair, interleaved; and the share of time spent waiting for data in both. TensorFlow has
such a thread of its own. The sources: arrays in memory, a file that is mapped to
memory, and one whose batches take 20 ms of nothing, as a disk or a network would.
"""

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
from measuring import spread, write

from keras_dlparts.data import Batches
from keras_dlparts.training.feed import Feed, Waiting


class Ahead(keras.utils.PyDataset):
    """Batches, the next one fetched by a thread while the one before it is used."""

    def __init__(self, items):
        super().__init__()
        self.items, self.pool = items, ThreadPoolExecutor(1)
        self.coming = (None, None)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        known, future = self.coming
        item = future.result() if known == index else self.items[index]
        if index + 1 < len(self):
            self.coming = index + 1, self.pool.submit(self.items.__getitem__, index + 1)
        return item


class Slow(Batches):
    def _samples(self, rows):
        time.sleep(0.02)
        return super()._samples(rows)


class Clock(keras.callbacks.Callback):
    """Asks as the trainer's own log does."""

    def __init__(self, waiting):
        super().__init__()
        self.waiting = waiting

    def on_epoch_begin(self, epoch, logs=None):
        self.waiting.begin_epoch()

    def on_train_batch_begin(self, batch, logs=None):
        self.waiting.ask(batch)

    def on_train_batch_end(self, batch, logs=None):
        float(logs["loss"])  # waits for the step
        self.waiting.got()


def sources(folder):
    random = np.random.default_rng(0)
    small = random.normal(size=(4096, 784)).astype("float32")
    large = np.lib.format.open_memmap(
        folder / "a.npy", "w+", "float32", (1024, 96, 96, 3)
    )
    large[:] = random.normal(size=(96, 96, 3))
    images = Batches(large, large[:, 0, 0, :1], 64, shuffle=True)
    return {
        "memory, 784 values": Batches(small, small[:, :1], 64, shuffle=True),
        "mapped file, 96 x 96 x 3": images,
        "20 ms a batch": Slow(small[:1024], small[:1024, :1], 64, shuffle=True),
    }


def net(shape):
    layers = [keras.layers.Dense(256, "relu"), keras.layers.Dense(1)]
    if len(shape) == 3:
        convolution = keras.layers.Conv2D(16, 3, strides=2)
        layers = [convolution, keras.layers.GlobalAveragePooling2D(), *layers]
    model = keras.Sequential([keras.Input(shape), *layers])
    model.compile("sgd", "mse")
    return model


def epoch(model, items):
    """(seconds, share of it spent waiting) of an epoch."""
    waiting = Waiting()
    feed = Feed(items, waiting)
    began = time.perf_counter()
    model.fit(feed, verbose=0, shuffle=False, callbacks=[Clock(waiting)])
    took = time.perf_counter() - began
    return took, waiting.seconds / took


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, batches in sources(Path(folder)).items():
            model, ahead = net(batches[0][0].shape[1:]), Ahead(batches)
            for items in (batches, ahead):
                epoch(model, items)
            ratios, shares = [], []
            for _ in range(asked.pairs):
                plain, with_thread = (epoch(model, i) for i in (batches, ahead))
                ratios.append(with_thread[0] / plain[0])
                shares.append((plain[1], with_thread[1]))
            rows.append(
                {
                    "source": name,
                    "ratio": spread(ratios),
                    "share_waiting": statistics.median(s[0] for s in shares),
                    "share_waiting_ahead": statistics.median(s[1] for s in shares),
                }
            )
            print(rows[-1])
    write(rows, f"feeding_{keras.backend.backend()}", asked.out)


if __name__ == "__main__":
    main()
