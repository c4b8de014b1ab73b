"""How sharp the minimum is that a batch size ends in."""

import keras
import numpy as np

from examples.claims.data import images
from keras_dlparts import backend

TRAIN, LOOK = 10_000, 2000  # images to learn from, and of them those to measure on
BOX = 1e-3  # how far a weight w may go in the search for the sharpness: BOX (|w| + 1)


def run(
    seed,
    data,
    batch,
    units,
    epochs=None,
    steps=None,
    train=TRAIN,
    look=LOOK,
    test=10_000,
):
    """Sharpness and largest curvature of the training loss, and the test error."""
    found = images(data)
    x = found.x[:train].reshape(-1, 784)
    y, x_test = found.y[:train], found.x_test[:test].reshape(-1, 784)
    layers = [keras.layers.Dense(units, "relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss, metrics=["accuracy"])
    batch = min(batch, len(x))
    epochs = epochs or -(-steps * batch // len(x))
    model.fit(x, y, batch, epochs, verbose=0)
    error = 100 * (1 - model.evaluate(x_test, found.y_test[:test], 500, verbose=0)[1])
    at, sharpness = sharpness_of(model, x[:look], y[:look])
    return {
        "sharpness": sharpness,
        "curvature": largest_curvature(model, x[:look], y[:look], seed),
        "test_error": error,
        "loss": at,
    }


def sharpness_of(model, x, y, iterations=10):
    """The loss, and the most it rises in the box: 100 (max f - f) / (1 + f).

    Found by steps along the signs of the gradient, a fifth of the box each. It is a
    bound from below, as the paper's search by L-BFGS-B is.
    """
    gradient, variables = backend.gradient_function(model), model.trainable_variables
    start = [v.numpy().copy() for v in variables]
    box = [BOX * (abs(w) + 1) for w in start]
    losses = []
    for _ in range(iterations + 1):
        value, slopes = gradient(x, y)
        losses.append(float(keras.ops.convert_to_numpy(value)))
        for v, w, b, g in zip(variables, start, box, slopes, strict=True):
            moved = v.numpy() + 0.2 * b * np.sign(keras.ops.convert_to_numpy(g))
            v.assign(np.clip(moved, w - b, w + b))
    for v, w in zip(variables, start, strict=True):
        v.assign(w)
    return losses[0], 100 * (max(losses) - losses[0]) / (1 + losses[0])


def largest_curvature(model, x, y, seed, iterations=30):
    """The largest eigenvalue of the Hessian, by the power method."""
    product, random = backend.curvature_function(model), np.random.default_rng(seed)
    v = [random.normal(size=w.shape) for w in model.trainable_variables]
    for _ in range(iterations):
        length = np.sqrt(sum((part**2).sum() for part in v))
        v = [(part / length).astype("float32") for part in v]
        bent = [keras.ops.convert_to_numpy(part) for part in product(v, x, y)[2]]
        value = sum(float((a * b).sum()) for a, b in zip(v, bent, strict=True))
        v = bent
    return value
