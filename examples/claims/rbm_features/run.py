"""What a logistic regression on few labels makes of pixels and of features."""

import keras
import numpy as np
from keras import ops
from sklearn.linear_model import LogisticRegression

from examples.claims.data import flat_images
from keras_dlparts.layers import RBM

PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)  # LogisticRegression's C, from strong to weak


def run(seed, data, of, units, epochs, rate, labelled, chosen_on, train=None):
    """The test error in %, at the penalty that is best on other training images."""
    found = flat_images(data, train)
    x, x_test = found.x, found.x_test
    order = np.random.default_rng(seed).permutation(len(x))
    rows, others = np.split(order[: labelled + chosen_on], [labelled])
    features = {"pixels": pixels, "rbm": learnt, "random": drawn}[of](
        x, units, epochs, rate, seed
    )
    shown, chosen, test = map(features, (x[rows], x[others], x_test))
    tried = []
    for c in PENALTIES:
        regression = LogisticRegression(C=c, max_iter=300, tol=1e-3)
        regression.fit(shown, found.y[rows])
        tried.append((regression.score(chosen, found.y[others]), regression))
    best = max(tried, key=lambda pair: pair[0])[1]
    error = 100 * (1 - best.score(test, found.y_test))
    return {"error": float(error), "penalty": best.C}


def pixels(x, units, epochs, rate, seed):
    return lambda x: x


def learnt(x, units, epochs, rate, seed):
    """The hidden chances of a machine that has learnt all images by CD-1."""
    layer = RBM(units, data_init=True, seed=seed, monitor=False)
    layer.adapt(x)
    model = keras.Sequential([keras.Input((x.shape[1],)), layer])
    model.compile(keras.optimizers.SGD(rate, momentum=0.5))
    model.fit(x, batch_size=100, epochs=epochs, verbose=0)
    return lambda x: ops.convert_to_numpy(layer(x))


def drawn(x, units, epochs, rate, seed):
    """As many sigmoids of random weights, whose inputs have mean 0, deviation 1."""
    kernel = np.random.default_rng(seed).normal(size=(x.shape[1], units))
    inputs = x @ kernel
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
    return lambda x: 1 / (1 + np.exp((mean - x @ kernel) / deviation))
