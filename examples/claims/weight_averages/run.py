"""Averages of weights along a training at a rate that stays, beside one that falls."""

import keras
import numpy as np

from examples.claims.data import flat_images
from keras_dlparts.callbacks import WeightAverage
from keras_dlparts.optimizers import Averaged

BATCH, RATE = 50, 0.1
KINDS = {
    "ema": {"momentum": 0.99},
    "sma": {"window": 10, "every": 20},
    "swa": {"start": 0.5},
    "tail": {"start": 0.5},
}


def run(seed, data, epochs, train=10_000, units=256, kind=None, fall=False):
    """The test errors of the weights and of their average, epoch by epoch.

    A dense net with batch normalization and momentum 0.9. Without a kind of average
    `error` is that of the weights.
    """
    found = flat_images(data, train)
    x = found.x
    learnt, test = (x, found.y), (found.x_test, found.y_test)
    layers = []
    for _ in range(2):
        layers += [keras.layers.Dense(units, use_bias=False)]
        layers += [keras.layers.BatchNormalization(), keras.layers.ReLU()]
    model = keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(10)])
    steps = epochs * len(x) // BATCH
    schedule = keras.optimizers.schedules.CosineDecay(RATE, steps) if fall else RATE
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(schedule, 0.9), loss, metrics=["accuracy"])
    callbacks = []
    if kind is not None:

        def batches():
            for start in range(0, len(x), BATCH):
                yield tuple(a[start : start + BATCH] for a in learnt)

        average = WeightAverage(kind, data=batches, validation_data=test, **KINDS[kind])
        callbacks.append(average)
    options = {"validation_data": test, "callbacks": callbacks, "verbose": 0}
    history = model.fit(*learnt, BATCH, epochs, **options).history
    row = {
        name: [100 * (1 - value) for value in history[key]]
        for name, key in (
            ("weights", "val_accuracy"),
            ("average", "average_val_accuracy"),
        )
        if key in history
    }
    last = row.get("average", row["weights"])[-1]
    return {"error": last, "weights_error": row["weights"][-1], **row}


def line(kind, values, n):
    """An average of a number that an optimizer is led along `values`."""
    x = keras.Variable(np.array([values[0]], "float32"))
    momentum = (n - 1) / (n + 1)
    optimizer = Averaged(keras.optimizers.SGD(1.0), kind, momentum=momentum, window=n)
    optimizer.build([x])
    found = []
    for value in values:
        optimizer.apply([keras.ops.convert_to_tensor(x) - value], [x])
        found.append(float(optimizer.averages()[0][0]))
    return found


def draw(figure, rows):
    """Two averages of a noisy line; the mean test error of the seeds by epoch."""
    figure.set_size_inches(9, 3.6)
    left, right = figure.subplots(1, 2)
    random, n = np.random.default_rng(0), 20
    values = np.sin(np.arange(150) / 25) + random.normal(0, 0.4, 150)
    left.plot(values, ".", color="#bbbbbb", ms=3, label="weights")
    left.plot(line("sma", values, n), color="#0072b2", label=f"sma, window {n}")
    label = f"ema, momentum {n - 1}/{n + 1}"
    left.plot(line("ema", values, n), color="#d55e00", label=label)
    left.set(xlabel="step", title="a noisy line, averaged")
    left.legend(fontsize=7)
    colors = "#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7"
    epochs = len(rows[0]["weights"])
    ways = dict.fromkeys(row["way"] for row in rows)
    for way, color in zip(ways, colors, strict=False):
        of = [row for row in rows if row["way"] == way]
        mean = np.mean([row.get("average", row["weights"]) for row in of], axis=0)
        at = np.arange(epochs - len(mean), epochs) + 1
        right.plot(at, mean, color=color, label=way)
    plain = np.mean([r["weights"] for r in rows if r["way"] == "ema"], axis=0)
    right.plot(np.arange(epochs) + 1, plain, ":", color="#888888", label="no average")
    right.set(xlabel="epoch", ylabel="test error, %", title="MNIST, 10 000 images")
    right.legend(fontsize=7)
