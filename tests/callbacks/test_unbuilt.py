"""Callbacks with a model that `fit` builds do what they do with a built one.

Keras builds it before training begins on JAX and PyTorch, on TensorFlow in the first
step.
"""

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts import callbacks
from keras_dlparts.optimizers import DiagonalNewton

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 4)).astype("float32")
Y = RANDOM.normal(size=(12, 1)).astype("float32")


def fit(callback, start, optimizer="sgd"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([*start, kl.Dense(3, "tanh"), kl.Dense(1)])
    model.compile(optimizer, "mse", jit_compile=False)
    options = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(X, Y, callbacks=[callback], **options)
    return model


CALLBACKS = {
    "sma": lambda: callbacks.WeightAverage("sma", start=1, every=2, window=2),
    "swa": lambda: callbacks.WeightAverage("swa", start=0.5),
    "trace": lambda: callbacks.SmoothnessTrace(data=(X, Y)),
    "clipping": lambda: callbacks.RelaxedSmoothnessClipping(data=(X, Y)),
    "curvature": lambda: callbacks.HutchinsonCurvature(data=(X, Y)),
    "lsuv": lambda: callbacks.LSUV(data=(X, Y)),
    "flow": lambda: callbacks.GradientFlow(2, data=lambda: iter([(X, Y), (Y * X, Y)])),
    "health": lambda: callbacks.ActivationHealth(2, data=[(X[:4], Y[:4]), (X, Y)]),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_it_is_as_with_a_built_model(name):
    weights, notes = [], []
    for start in ([keras.Input((4,))], []):
        callback = CALLBACKS[name]()
        optimizer = DiagonalNewton() if name == "curvature" else "sgd"
        model = fit(callback, start, optimizer)
        weights.append(model.get_weights())
        history = getattr(callback, "history", {})
        notes.append({key: np.array(value) for key, value in history.items()})
        assert not history or all(len(value) for value in history.values())
    for built, unbuilt in zip(*weights, strict=True):
        np.testing.assert_allclose(unbuilt, built, rtol=1e-5, atol=1e-6)
    for key, built in notes[0].items():
        np.testing.assert_allclose(notes[1][key], built, rtol=1e-4)
