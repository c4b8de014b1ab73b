"""Singular values of 64 tanh layers of 300 units, at the edge of chaos."""

import keras
import numpy as np
from keras import layers as kl

from keras_dlparts.analysis import jacobian
from keras_dlparts.initializers.gaussian_means import means, tabulated


def run(seed, data, orthogonal, units=300, depth=64):
    q = 1 / depth  # so small that tanh is nearly linear
    value, slope, _ = means(tabulated("tanh"), q)
    weight, bias = 1 / slope, q - value / slope

    def kernel(number):
        own = 1000 * seed + number
        if orthogonal:
            return keras.initializers.Orthogonal(weight**0.5, own)
        return keras.initializers.RandomNormal(stddev=(weight / units) ** 0.5, seed=own)

    def biases(number):
        own = 1000 * seed + number
        return keras.initializers.RandomNormal(stddev=bias**0.5, seed=own)

    rows = [
        kl.Dense(
            units,
            "tanh",
            kernel_initializer=kernel(layer),
            bias_initializer=biases(layer),
        )
        for layer in range(depth)
    ]
    model = keras.Sequential([keras.Input((units,)), *rows])
    x = np.random.default_rng(seed).normal(size=(1, units)) * q**0.5
    values = jacobian(model, x.astype("float32")).values.astype("float64")
    return {
        "least": values[-1],
        "median": float(np.median(values)),
        "largest": values[0],
        "mean_square": float(np.mean(values**2)),
        "values": values.tolist(),
    }


def draw(figure, rows):
    """How the singular values are spread."""
    figure.set_size_inches(6, 3.4)
    axes = figure.add_subplot()
    bins = np.logspace(-6, 1.5, 61)
    for i, way in enumerate(dict.fromkeys(row["way"] for row in rows)):
        values = np.concatenate([r["values"] for r in rows if r["way"] == way])
        values = np.maximum(values, bins[0] * 1.01)
        axes.hist(values, bins, alpha=0.6, color=f"C{i}", label=way)
    axes.set(
        xscale="log",
        xlabel="singular value; the first bar has those below 1e-6",
        ylabel="how many, of all nets",
    )
    axes.legend()
