"""Restricted machines that learn binary images, and their test log-likelihoods."""

import keras
import numpy as np

from examples.claims.likelihoods import BATCH, binarized, flat, measured
from keras_dlparts.layers import RBM


def run(seed, data, schedule, persistent, units, rate, ais_steps, train=None):
    """Learn by SGD; `schedule` has (Gibbs steps, epochs), one after another.

    The rate falls to 0 in a straight line, and each epoch draws the pixels anew.
    """
    grey, test, _, _ = flat(data, train)
    random = np.random.default_rng(seed)
    layer = RBM(units, persistent=persistent, seed=seed, monitor=False, data_init=True)
    layer.adapt(grey)
    model = keras.Sequential([keras.Input((grey.shape[1],)), layer])
    epoch, epochs = 0, sum(count for _, count in schedule)
    optimizer = keras.optimizers.SGD(rate)
    for layer.k, count in schedule:
        model.compile(optimizer)
        for _ in range(count):
            optimizer.learning_rate = rate * (1 - epoch / epochs)
            x = binarized(grey, random)
            model.fit(x, batch_size=BATCH, epochs=1, verbose=0)
            epoch += 1
    return measured(layer, layer.log_likelihood, x, test, ais_steps)
