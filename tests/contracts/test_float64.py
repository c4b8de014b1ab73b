"""Layers and models work where Keras' `floatx` is float64.

Python's numbers become float64 there, and so do tensors that are made without a dtype;
what a layer keeps in float32 must not meet them.
"""

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts import backend, registry
from keras_dlparts.layers import BoltzmannMachine
from keras_dlparts.models import Autoencoder, EncoderDecoder
from keras_dlparts.testing.cases import cases
from keras_dlparts.testing.examples import example
from keras_dlparts.testing.general import arrays

WITHOUT_JAX = pytest.mark.skipif(
    backend.name() == "jax", reason="JAX has float64 only where it begins with it"
)


@pytest.fixture
def float64():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


# The parts that keep most of their own in float32, for which CI has the time.
IN_CI = ("RBM", "BoltzmannMachine", "Hopfield", "DBM", "BayesianSparsityDropout")


def asked():
    """All cases of layers and models."""
    for part in registry.parts():
        if part.kind in ("layers", "models"):
            for case in cases(part):
                name = case.part.name.removeprefix("dlparts.")
                in_ci = name in IN_CI and not case.number
                marks = [] if in_ci else [pytest.mark.study]
                yield pytest.param(case, id=f"{name}-{case.number}", marks=marks)


@pytest.mark.long
@WITHOUT_JAX
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", [*asked()])
def test_it_builds_is_called_and_fits(case):
    keras.utils.set_random_seed(0)
    if case.skip:
        pytest.skip(case.skip)
    ours = example(case, jit_compile=False)
    outputs = arrays(ours.model(ours.x))
    assert all(np.isfinite(y).all() for y in outputs)
    if any(y.dtype.kind == "f" for y in outputs):
        history = ours.model.fit(ours.x, ours.y, epochs=2, verbose=0)
        assert np.isfinite(history.history["loss"]).all()


@pytest.mark.long
@WITHOUT_JAX
@pytest.mark.usefixtures("float64")
def test_what_they_answer_besides():
    keras.utils.set_random_seed(0)
    v = np.random.default_rng(0).integers(0, 2, (8, 6)).astype("float32")
    machine = BoltzmannMachine(2, seed=0)
    machine(v)
    assert machine.sample(3, 2, temperatures=3).shape == (3, 6)
    assert np.isfinite(machine.log_partition("ais", steps=200, chains=50).value)
    model = EncoderDecoder(kl.GRU(3), kl.GRU(3), vocabulary=5, embedding=2)
    model.build([(None, 4), (None, 4)])
    for method in ("greedy", "beam"):
        written = model.generate(np.ones((3, 4), "int32"), method=method)
        assert written.shape == (3, 4)
    model = Autoencoder([kl.Dense(3), kl.Dense(2)], contraction=0.1, input_shape=(6,))
    model.compile("sgd", jit_compile=False)
    assert np.isfinite(model.fit(v, verbose=0).history["loss"]).all()
