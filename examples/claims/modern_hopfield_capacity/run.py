"""Random vectors, looked up in a modern Hopfield network from noisy copies."""

import math

import numpy as np
from keras import ops

from keras_dlparts.layers import ModernHopfield

LOOKED_UP = 200


def run(seed, data, beta, dimensions, most):
    """How many vectors of each of three or more dimensions can be stored."""
    held = [capacity(dimension, beta, most, seed) for dimension in dimensions]
    middle = len(held) // 2
    early, late = (math.log(max(b / a, 1)) for a, b in pairs(held, middle))
    power = [math.log(b / a) for a, b in pairs(dimensions, middle)]
    return {
        "held": held[-1],
        # Where nothing was gained at first, there is no growth to speak of.
        "steadiness": (late / early) / (power[1] / power[0]) if early else 0.0,
        "all_held": held,
    }


def pairs(values, middle):
    return (values[0], values[middle]), (values[middle], values[-1])


def capacity(dimension, beta, most, seed):
    """The largest power of sqrt(2), rounded, of which 95 of 100 come back."""
    held = 1
    for power in range(2, 2 * round(np.log2(most)) + 1):
        count = round(2 ** (power / 2))
        if comes_back(count, dimension, beta, seed) < 0.95:
            break
        held = count
    return held


def comes_back(count, dimension, beta, seed):
    """The share of vectors that come back, with `count` of them stored at a time."""
    random = np.random.default_rng([seed, count, dimension])
    times = -(-LOOKED_UP // count)
    stored = on_sphere(random, (times, count, dimension), 1.0)
    wanted = stored[:, :LOOKED_UP]
    noisy = wanted + on_sphere(random, wanted.shape, 0.1)
    layer = ModernHopfield(beta=beta, steps=None)
    found = ops.convert_to_numpy(layer([noisy, stored]))
    error = np.linalg.norm(found - wanted, axis=-1)
    return float((error < 0.05 * np.sqrt(dimension)).mean())


def on_sphere(random, shape, radius):
    """Random vectors of the length `radius * sqrt(d)`."""
    x = random.normal(size=shape)
    x *= radius * np.sqrt(shape[-1]) / np.linalg.norm(x, axis=-1, keepdims=True)
    return x.astype("float32")


def draw(figure, rows):
    """The vectors that come back over the dimension."""
    axes = figure.subplots()
    dimensions = np.array(rows[0]["settings"]["dimensions"])
    middle = np.exp(np.mean(np.log([row["all_held"] for row in rows]), axis=0))
    axes.semilogy(dimensions, middle, "-", color="#0072b2", label="modern, beta = 1")
    for row in rows:
        axes.plot(dimensions, row["all_held"], "o", ms=4, color="#0072b2", alpha=0.7)
    label = "0.138 d, of the classical network"
    axes.semilogy(dimensions, 0.138 * dimensions, ":", color="#d55e00", label=label)
    axes.set(xlabel="dimension d", ylabel="vectors that come back")
    axes.legend(frameon=False)
