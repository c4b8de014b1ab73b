"""The callback sizes weights as `surgery.lsuv` does, and once."""

import keras
import numpy as np
from keras import layers as kl

from keras_dlparts.callbacks import LSUV
from keras_dlparts.surgery import lsuv

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


def net():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), kl.Dense(5, "tanh"), kl.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


def fit(model, callback):
    model.fit(X, X[:, :1], batch_size=32, verbose=0, callbacks=[callback])
    return [w.numpy() for w in model.weights]


def test_it_is_lsuv_before_the_first_step_and_never_after():
    for arguments in ({}, {"orthogonal": False, "seed": 3}):
        model = net()
        found = fit(model, LSUV(data=(X, X), **arguments))
        expected = [w.numpy() for w in lsuv(net(), X, **arguments).weights]
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        model.layers[0].kernel.assign(3 * found[0])
        again = fit(model, LSUV(data=(X, X), **arguments))
        np.testing.assert_array_equal(again[0], 3 * found[0])
