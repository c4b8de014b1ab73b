"""Callbacks that measure, with a plain `fit` on replicas, inside of a scope and out."""

import subprocess
import sys

import pytest

from keras_dlparts import backend

# A new process, for logical devices are made before TensorFlow starts.
REPLICAS = """
import contextlib
import keras
import numpy as np
from keras_dlparts import callbacks, distribute
from keras_dlparts.optimizers import DiagonalNewton

random = np.random.default_rng(0)
x = random.normal(size=(16, 3)).astype("float32")
y = random.normal(size=(16, 1)).astype("float32")
two = distribute.strategy("mirrored", devices=2, verbose=0)
none = contextlib.nullcontext


def fitted(kind, made_in, fit_in, **options):
    keras.utils.set_random_seed(0)
    with made_in():
        dense = keras.layers.Dense(4, "tanh", kernel_regularizer="l2")
        model = keras.Sequential([keras.Input((3,)), dense, keras.layers.Dense(1)])
        newton = kind is callbacks.HutchinsonCurvature
        model.compile(DiagonalNewton() if newton else keras.optimizers.SGD(0.1), "mse")
    callback = kind(**options)
    with fit_in():
        model.fit(x, y, 4, 2, shuffle=False, verbose=0, callbacks=[callback])
    history = getattr(callback, "history", {})
    return [*map(np.array, history.values()), *model.get_weights()]


for kind, options in (
    (callbacks.SmoothnessTrace, {"data": (x, y)}),
    (callbacks.RelaxedSmoothnessClipping, {"data": (x, y)}),
    (callbacks.HutchinsonCurvature, {"data": (x, y)}),
    (callbacks.GradientFlow, {"data": (x, y)}),
    (callbacks.WeightAverage, {"momentum": 0.5}),
):
    one = fitted(kind, none, none, **options)
    for fit_in in (none, two.scope):
        for ours, theirs in zip(
            fitted(kind, two.scope, fit_in, **options), one, strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
"""


@pytest.mark.slow
@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute")
def test_on_two_replicas_they_do_as_on_one_device():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
