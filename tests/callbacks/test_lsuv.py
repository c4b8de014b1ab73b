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


def test_the_inputs_of_a_model_may_be_a_list():
    a, b = keras.Input((4,)), keras.Input((4,))
    dense = kl.Dense(5, use_bias=False)
    model = keras.Model([a, b], dense(kl.Add()([a, b])))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    y = np.zeros((32, 5), "float32")
    model.fit([X, X], y, verbose=0, callbacks=[LSUV(data=([X, X], y))])
    u = 2 * X @ keras.ops.convert_to_numpy(dense.kernel)
    np.testing.assert_allclose(u.var(), 1, rtol=0.06)
