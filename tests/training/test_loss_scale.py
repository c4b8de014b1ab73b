"""Runs in half precision keep the scale of the loss that they have found."""

import keras
import numpy as np
import pytest

from keras_dlparts import load_model, train
from keras_dlparts.callbacks import RelaxedSmoothnessClipping, WeightAverage

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8)).astype("float32")
Y = 60 * X[:, :1] + 300  # gradients overflow at the scale that Keras begins with


@pytest.fixture(autouse=True)
def _half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


def make():
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    return model


def trained(directory, epochs, **options):
    """A model after epochs of one step, with a checkpoint after each."""
    model = make()
    options |= {"epochs": epochs, "batch_size": 64, "directory": directory}
    train({"seed": 0}, model=model, data=(X, Y), verbose=0, **options)
    return model


def state(model):
    """The weights, the scale and its counter, and what Adam has."""
    variables = [*model.trainable_variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in variables]


def assert_same(model, other):
    for one, two in zip(state(model), state(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=0.01, atol=0.001)


@pytest.mark.long
def test_a_run_is_what_fit_does(tmp_path):
    model, fitted = trained(tmp_path / "run", 12), make()
    fitted.fit(X, Y, epochs=12, batch_size=64, shuffle=False, verbose=0)
    assert 0 < int(fitted.optimizer.inner_optimizer.iterations) < 12
    assert_same(model, fitted)
    loaded = load_model(tmp_path / "run" / "last.keras")
    assert_same(model, loaded)


@pytest.mark.long
def test_a_run_goes_on_as_one_that_was_not_stopped(tmp_path):
    trained(tmp_path / "run", 7)
    model = trained(tmp_path / "run", 12, resume=True)
    for one, two in zip(
        state(model), state(trained(tmp_path / "other", 12)), strict=True
    ):
        np.testing.assert_array_equal(one, two)


CALLBACKS = [WeightAverage(), RelaxedSmoothnessClipping(data=(X, Y))]


@pytest.mark.long
@pytest.mark.parametrize("callback", CALLBACKS, ids=["average", "clipping"])
def test_a_callback_that_builds_the_optimizer_keeps_the_scale(callback):
    model, numbers = make(), []
    for _ in range(2):
        model.fit(X, Y, epochs=12, batch_size=64, verbose=0, callbacks=[callback])
        numbers.append(len(model.optimizer.variables))
    assert len({*numbers}) == 1
    assert float(model.optimizer.dynamic_scale) < 2**15
