"""MNIST row by row, 28 steps of 28 values in [-1, 1], through a recurrent layer."""

import keras
import numpy as np

from examples.claims.data import images
from keras_dlparts import layers

RATES = {"low": 0.0003, "usual": 0.001, "high": 0.003}
STEPS = {4: 2000, 128: 300}  # by batch
PIECES = 10


def run(seed, data, layer, batch, units, test, batch_norm=False, steps=None):
    """The loss by tenths of the training, each step on images it has not seen before.

    The same net is trained from the same start at each rate. `batch_norm` puts batch
    normalization before the layer, and behind it. A loss above that of guessing, or
    none, counts as that of guessing.
    """
    found = images(data)
    model = net(layer, units, batch_norm)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss, metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    start = [variable.numpy().copy() for variable in variables]
    order = np.random.default_rng(seed).permutation(len(found.x))
    order = np.resize(order, (steps or STEPS[batch]) * batch)
    row = {"losses": {}}
    for name, rate in RATES.items():
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        model.optimizer.learning_rate = rate
        losses = []
        for piece in np.array_split(order, PIECES):
            x, y = 2 * found.x[piece] - 1, found.y[piece]
            history = model.fit(x, y, batch, shuffle=False, verbose=0).history
            losses.append(
                min(np.nan_to_num(history["loss"][0], nan=np.inf), np.log(10))
            )
        row["losses"][name], row[f"loss_{name}"] = losses, losses[-1]
        if name == "usual":
            x, y = 2 * found.x_test[:test] - 1, found.y_test[:test]
            accuracy = model.evaluate(x, y, 500, verbose=0)[1]
            row["test_error"] = 100 * (1 - accuracy)
    return row


def net(layer, units, batch_norm):
    """One recurrent layer, alone or between two batch normalizations."""
    kind = getattr(layers if layer.startswith("LayerNorm") else keras.layers, layer)
    norms = [keras.layers.BatchNormalization() for _ in range(2 * batch_norm)]
    stack = [*norms[:1], kind(units), *norms[1:], keras.layers.Dense(10)]
    return keras.Sequential([keras.Input((28, 28)), *stack])


def draw(figure, rows):
    """The loss by step, a panel a batch and rate: the mean and range of the seeds."""
    figure.set_size_inches(11, 5.6)
    colors = {
        "LSTM": "#d55e00",
        "LayerNormLSTM": "#0072b2",
        "batch-norm LSTM": "#000000",
        "GRU": "#e69f00",
        "LayerNormGRU": "#56b4e9",
    }
    panels = figure.subplots(2, len(RATES), sharey="row")
    lines = {}
    for line, (batch, steps) in zip(panels, STEPS.items(), strict=True):
        for axes, (rate, value) in zip(line, RATES.items(), strict=True):
            for name, color in colors.items():
                way = f"{name}, batch {batch}"
                each = [r["losses"][rate] for r in rows if r["way"] == way]
                if not each:
                    continue
                at = (np.arange(PIECES) + 0.5) / PIECES * steps
                lines[name] = axes.plot(at, np.mean(each, axis=0), color=color)[0]
                span = np.min(each, axis=0), np.max(each, axis=0)
                axes.fill_between(at, *span, color=color, alpha=0.2, linewidth=0)
            axes.set_title(f"batch {batch}, rate {value:g}", fontsize=10)
            axes.set(xlabel="step", yscale="log")
        line[0].set_ylabel("training loss")
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=5)
