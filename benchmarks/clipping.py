"""What clipping costs: a step of Clipped against Keras' own, and the measuring.

    python benchmarks/clipping.py [--pairs 15]

Pairs are interleaved in one process and compared pair by pair. The callback's cost is
that of one measurement over a step, spread over the steps from one to the next.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from measuring import seconds, spread, write
from residual import batches

from keras_dlparts.callbacks import RelaxedSmoothnessClipping
from keras_dlparts.layers import LayerNormLSTM
from keras_dlparts.models import ResNet
from keras_dlparts.optimizers import Clipped, FixedNorm

STEPS = 4  # a timing


def resnet():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return ResNet(20), loss, batches(32, STEPS), 32


def recurrent():
    model = keras.Sequential(
        [keras.Input((100, 32)), LayerNormLSTM(128), keras.layers.Dense(1)]
    )
    random = np.random.default_rng(0)
    x = random.normal(size=(64 * STEPS, 100, 32)).astype("float32")
    return model, "mse", (x, x[:, 0, :1]), 64


NETS = {"ResNet-20, batch 32": resnet, "LayerNormLSTM 128, batch 64": recurrent}


def step_ratio(make, pairs):
    """A step of Clipped(SGD, FixedNorm) over one of SGD(global_clipnorm)."""
    ways = {
        "ours": lambda: Clipped(keras.optimizers.SGD(0.01, 0.9), by=FixedNorm(1.0)),
        "Keras": lambda: keras.optimizers.SGD(0.01, 0.9, global_clipnorm=1.0),
    }
    runs = {}
    for name, optimizer in ways.items():
        model, loss, (x, y), batch = make()
        model.compile(optimizer(), loss)
        settings = {"batch_size": batch, "verbose": 0, "shuffle": False}

        def run(model=model, x=x, y=y, settings=settings):
            model.fit(x, y, **settings)

        run()
        runs[name] = run
    ratios = []
    for i in range(pairs):
        order = [*runs] if i % 2 else [*runs][::-1]
        took = {name: seconds(runs[name]) for name in order}
        ratios.append(took["ours"] / took["Keras"])
    return spread(ratios)


def callback_cost(make, pairs):
    """1 + (a measurement over a step) / every."""
    model, loss, (x, y), batch = make()
    model.compile(keras.optimizers.SGD(0.01, 0.9), loss)
    callback = RelaxedSmoothnessClipping(data=(x[:batch], y[:batch]))
    callback.set_model(model)
    settings = {"batch_size": batch, "verbose": 0, "shuffle": False}

    def steps():
        model.fit(x, y, **settings)

    def measure():
        callback.next = 0  # due, whatever the step
        callback.on_train_batch_begin(0)
        model.train_on_batch(x[:batch], y[:batch])
        callback.on_train_batch_end(0)

    steps()
    callback.on_train_begin()
    measure()
    ratios = []
    for i in range(pairs):
        if i % 2:
            step, both = seconds(steps) / STEPS, seconds(measure)
        else:
            both, step = seconds(measure), seconds(steps) / STEPS
        ratios.append(1 + max(both / step - 1, 0) / callback.every)
    return spread(ratios) | {"every": callback.every}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = []
    for name, make in NETS.items():
        rows.append(
            {
                "what": f"step of {name}: Clipped by FixedNorm / Keras global_clipnorm",
                "ratio": step_ratio(make, asked.pairs),
            }
        )
        rows.append(
            {
                "what": f"step of {name}: with RelaxedSmoothnessClipping / without",
                "ratio": callback_cost(make, asked.pairs),
            }
        )
        print(*rows[-2:], sep="\n", flush=True)
    write(rows, f"clipping_{keras.backend.backend()}", asked.out)


if __name__ == "__main__":
    main()
