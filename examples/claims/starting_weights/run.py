"""The signal through ten layers of 500 units, by the size of the weights."""

import keras
import numpy as np
from keras import layers as kl
from keras import ops


def run(seed, data, activation, deviation, units=500, layers=10, samples=1000):
    random = np.random.default_rng(seed)
    h = random.normal(size=(samples, units)).astype("float32")
    found = []
    for number in range(layers):
        start = keras.initializers.RandomNormal(
            stddev=deviation * units**-0.5, seed=1000 * seed + number
        )
        h = kl.Dense(units, activation, kernel_initializer=start)(h)
        found.append(float(ops.std(h)))
    return {"first": found[0], "last": found[-1], "by_layer": found}


def draw(figure, rows):
    """The deviation of the outputs, layer by layer."""
    figure.set_size_inches(7, 3.6)
    axes = figure.add_subplot()
    ways = list(dict.fromkeys(row["way"] for row in rows))
    for row in rows:
        values = row["by_layer"]
        colour = f"C{ways.index(row['way'])}"
        label = row["way"] if row["seed"] == rows[0]["seed"] else None
        axes.plot(range(1, len(values) + 1), values, "-", c=colour, label=label)
    axes.set(xlabel="layer", ylabel="deviation of the outputs", yscale="log")
    figure.legend(loc="outside right", frameon=False)
