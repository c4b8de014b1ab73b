"""What models share that learn layer by layer: rows, features, and a `fit`."""

import random

import keras
import numpy as np
from keras import ops

from keras_dlparts.backend import feeding


def flat(x):
    """Rows of float32 from samples of any shape."""
    x = ops.convert_to_numpy(x)
    return x.reshape(len(x), -1).astype("float32")


def check_chances(x):
    """Raise unless all values are ones that Bernoulli units may have."""
    low, high = x.min(), x.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            "Bernoulli visible units take values in [0, 1]: scale the data, or use "
            f"visible='gaussian' on standardised data. Received: {low} to {high}"
        )


def seeds(count, first=None):
    """A seed for each machine: from `first` on, or drawn where that is None.

    All are drawn before the first machine is learnt, so that they do not depend on how
    many random numbers the learning takes.
    """
    if first is not None:
        return [first + i for i in range(count)]
    return [random.randrange(2**31) for _ in range(count)]


def through(layers, x, batch_size=1024):
    """What layers, one after another, make of all rows."""
    if not layers:
        return x
    inputs = keras.Input((x.shape[1],))
    h = inputs
    for layer in layers:
        h = layer(h)
    return feeding.outputs(keras.Model(inputs, h), x, batch_size)


def fit(model, x, epochs, batch_size, number):
    """Keras' `fit`, with an order of each epoch that the machine's seed decides."""
    generator, history = np.random.default_rng(model.layers[-1].seed), {}
    for _ in range(epochs):
        rows = x[generator.permutation(len(x))]
        model.fit(rows, batch_size=batch_size, shuffle=False, verbose=0)
        for name, values in model.history.history.items():
            history.setdefault(name, []).extend(values)
    return history
