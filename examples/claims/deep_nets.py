"""What the claims on deep nets share: weights from one seed, and some steps of SGD."""

import itertools

import keras
import numpy as np

from examples.claims.data import images


def centred(data, tested=2000):
    """(x, y) of training and of test, x centred; of test only the first ones."""
    found = images(data)
    mean = found.x.mean()
    test = slice(tested)
    return (found.x - mean, found.y), (found.x_test[test] - mean, found.y_test[test])


def flat(pairs, scale=1.0):
    return [(scale * x.reshape(len(x), -1), y) for x, y in pairs]


def draw(layers, start):
    """Each layer's kernel from `start(number, layer)`, and biases of zero."""
    for number, layer in enumerate(layers):
        layer.kernel.assign(start(number, layer)(layer.kernel.shape))
        layer.bias.assign(np.zeros(layer.bias.shape))


def trained(model, train, test, learning_rate, steps, batch, seed):
    """Training loss of the last tenth of the steps, and test accuracy after all."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    sgd = keras.optimizers.SGD(learning_rate)
    model.compile(sgd, loss, metrics=["accuracy"], jit_compile=False)
    order = np.random.default_rng(seed).permutation(len(train[0]))[: steps * batch]
    ends = [0, int(0.9 * steps) * batch, steps * batch]
    for a, b in itertools.pairwise(ends):
        rows = order[a:b]
        fitted = model.fit(
            train[0][rows], train[1][rows], batch, shuffle=False, verbose=0
        )
    accuracy = model.evaluate(*test, batch_size=500, verbose=0)[1]
    return {"loss": fitted.history["loss"][0], "test_accuracy": accuracy}
