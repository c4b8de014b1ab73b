"""The smoothness of the loss along the path, beside the norm of the gradient."""

import keras
import numpy as np

from examples.claims.data import images
from keras_dlparts.callbacks import SmoothnessTrace
from keras_dlparts.callbacks.smoothness_trace import correlation
from keras_dlparts.models import ResNet
from keras_dlparts.optimizers import Clipped, Percentile

BATCH = 64


def run(seed, data, net, rate, steps, every, clipped=False, units=32, filters=8):
    """The correlation of their logarithms, measured on the batch of the step before it.

    MNIST row by row for the LSTM, as images for the other nets; momentum 0.9. `clipped`
    clips at the tenth percentile of the norms so far (AutoClip). Where one of the two
    does not vary the correlation counts as 0.
    """
    found = images(data)
    chosen = np.random.default_rng(seed).integers(len(found.x), size=steps * BATCH)
    x, y = found.x[chosen], found.y[chosen]
    model = NETS[net](units if net == "LSTM" else filters)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    if clipped:
        optimizer = Clipped(optimizer, by=Percentile(10.0))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    batches = Batches(x, y)
    trace = SmoothnessTrace(every=every, deltas=[0.5], data=batches)
    history = model.fit(batches, shuffle=False, verbose=0, callbacks=[trace])
    told = {name: trace.history[name] for name in ("step", *trace.columns)}
    end = np.nan_to_num(history.history["loss"][-1], nan=1e3)
    return {
        "correlation": correlation(trace.history) or 0.0,
        "loss": float(end),
        **told,
    }


class Batches(keras.utils.PyDataset):
    """The batches in the order of the training, so that a step's own is found again."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x) // BATCH

    def __getitem__(self, i):
        part = slice(i * BATCH, (i + 1) * BATCH)
        return self.x[part], self.y[part]


def lstm(units):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((28, 28)), layers.LSTM(units), layers.Dense(10)]
    )


def residual(filters):
    net = ResNet(depth=8, filters=filters, momentum=0.9, input_shape=(28, 28, 1))
    return keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Reshape((28, 28, 1)), net]
    )


def convolution(filters):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(filters, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(2 * filters, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


NETS = {"LSTM": lstm, "residual": residual, "convolution": convolution}


def draw(figure, rows):
    """The paper's figure 1 for one seed: a point a measurement, colored by its step."""
    first = min(row["seed"] for row in rows)
    rows = [row for row in rows if row["seed"] == first]
    figure.set_size_inches(2.7 * len(rows), 3.4)
    panels = figure.subplots(1, len(rows), squeeze=False)[0]
    for axes, row in zip(panels, rows, strict=True):
        n, bends = row["gradient_norm"], row["smoothness"]
        axes.scatter(n, bends, c=row["step"], cmap="viridis", s=9)
        axes.set(xscale="log", yscale="log", xlabel="gradient norm")
        axes.xaxis.set_minor_formatter("")  # they would overlap
        axes.set_title(f"{row['way']}: {row['correlation']:.2f}", fontsize=9)
    panels[0].set_ylabel(f"local smoothness, seed {first}")
