"""A net of one layer of radial basis functions, or of dense units, on few images.

A batch normalization and a softmax layer follow. With a ridge the last layer on fixed
centers is solved and not trained.
"""

import functools
import math

import keras
import numpy as np

from examples.claims.data import flat_images
from keras_dlparts.layers import RadialBasis


def run(seed, data, centers, train, units, epochs, rate, ridge=None, **options):
    """Accuracy on all test images, and what is said of test images without order."""
    found = flat_images(data, train)
    model = net(centers, data, train, units, seed, **options)
    if ridge is None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss)
        model.fit(found.x, found.y, batch_size=100, epochs=epochs, verbose=0)
    else:
        solve(model, found.x, found.y, ridge)
    right = scores(model, found.x_test).argmax(axis=1) == found.y_test
    trained = sum(math.prod(w.shape) for w in model.trainable_weights)
    result = {"test_accuracy": 100 * float(right.mean()), "trained_weights": trained}
    if ridge is None:  # what is solved for has no probabilities
        shuffled = np.random.default_rng(0).permuted(found.x_test[:1000], axis=1)
        p = keras.ops.softmax(scores(model, shuffled))
        result["shuffled"] = float(keras.ops.mean(keras.ops.max(p, axis=1)))
    return result


def net(centers, data, train, units, seed, width="shared", **options):
    if centers == "none":
        layer = keras.layers.Dense(units, "relu")
    else:
        weights = None
        if centers == "uniform":
            # As wide as the centers among the data would be.
            _, log_width = adapted("data", width, data, train, units, seed)
            options["initial_width"] = float(np.exp(log_width).item())
            centers = keras.initializers.RandomUniform(0.0, 1.0, seed=seed)
        else:
            weights = adapted(centers, width, data, train, units, seed)
        layer = RadialBasis(units, centers=centers, width=width, seed=seed, **options)
        layer.build((None, 784))
        if weights:
            layer.centers.assign(weights[0])
            layer.log_width.assign(weights[1])
    norm = keras.layers.BatchNormalization()
    return keras.Sequential([keras.Input((784,)), layer, norm, keras.layers.Dense(10)])


@functools.cache  # the ways of a seed begin with the same centers
def adapted(centers, width, data, train, units, seed):
    """(centers, log of the widths) of a layer that has seen the training images."""
    layer = RadialBasis(units, centers=centers, width=width, seed=seed)
    layer.adapt(flat_images(data, train).x)
    return [keras.ops.convert_to_numpy(w) for w in (layer.centers, layer.log_width)]


def solve(model, x, y, ridge):
    """Give the last layer the least squares, plus ridge |W|^2, of 0 and 1."""
    layer, norm, dense = model.layers
    h = np.float64(scores(keras.Sequential([layer]), x))
    target = np.eye(10)[y] - 0.1
    mean = h.mean(axis=0)
    h -= mean
    W = np.linalg.solve(h.T @ h + ridge * np.eye(h.shape[1]), h.T @ target)
    dense.set_weights([W * math.sqrt(1 + norm.epsilon), 0.1 - mean @ W])


def scores(model, x):
    return model.predict(x, batch_size=1000, verbose=0)
