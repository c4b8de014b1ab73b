"""Lookahead against a slow numpy twin, alone and around Clipped."""

import keras
import numpy as np
import pytest
from helpers import optimizers

from keras_dlparts.optimizers import Clipped, FixedNorm, Lookahead

STEPS = [np.array(g, "float32") for g in np.random.default_rng(0).normal(size=(9, 3))]
START = np.array([1.0, -2.0, 3.0], "float32")


def twin(rate=0.1, momentum=0.9, period=4, step=0.25, most=np.inf):
    """SGD with momentum that looks ahead; its gradient is clipped to `most`."""
    theta, phi, m = START.copy(), START.copy(), 0.0
    for t, g in enumerate(STEPS):
        m = momentum * m - rate * g * min(1.0, most / np.linalg.norm(g))
        theta = theta + m
        if (t + 1) % period == 0:
            phi = phi + step * (theta - phi)
            theta = phi
    return theta, phi


def stepped(optimizer):
    """The variable after all steps."""
    return optimizers.stepped(optimizer, START, STEPS)


def sgd(**more):
    return keras.optimizers.SGD(0.1, momentum=0.9, **more)


def test_it_steps_as_written_down():
    optimizer = Lookahead(sgd(), sync_period=4, slow_step_size=0.25)
    theta, phi = twin()
    np.testing.assert_allclose(stepped(optimizer), theta, rtol=1e-5)
    slow = keras.ops.convert_to_numpy(optimizer.slow_weights[0])
    np.testing.assert_allclose(slow, phi, rtol=1e-5)


def test_around_clipped_it_looks_ahead_of_clipped_steps():
    optimizer = Lookahead(Clipped(sgd(), by=FixedNorm(0.7)), 4, 0.25)
    np.testing.assert_allclose(stepped(optimizer), twin(most=0.7)[0], rtol=1e-5)
    assert optimizer.logs()["clip_threshold"] == pytest.approx(0.7)


def test_with_a_slow_step_of_1_it_is_the_optimizer_itself():
    plain = sgd()
    np.testing.assert_array_equal(stepped(Lookahead(sgd(), 2, 1.0)), stepped(plain))


def test_steps_of_accumulated_gradients_count_once():
    """Nine gradients in threes are three steps, and the second one jumps."""
    optimizer = Lookahead(sgd(gradient_accumulation_steps=3), 2, 0.5)
    theta, phi, m = START.copy(), START.copy(), 0.0
    for t in range(3):
        m = 0.9 * m - 0.1 * np.mean(STEPS[3 * t : 3 * t + 3], axis=0)
        theta = theta + m
        if t == 1:
            theta = phi = phi + 0.5 * (theta - phi)
    np.testing.assert_allclose(stepped(optimizer), theta, rtol=1e-5)


def test_weights_that_were_loaded_after_it_was_built_are_where_it_begins():
    variable = keras.Variable(np.zeros(3, "float32"))
    optimizer = Lookahead(keras.optimizers.SGD(0.1), 1, 0.5)
    optimizer.build([variable])
    variable.assign(START)
    optimizer.apply([keras.ops.ones(3)], [variable])
    found = keras.ops.convert_to_numpy(variable)
    np.testing.assert_allclose(found, START - 0.05, rtol=1e-6)


def test_around_an_optimizer_that_has_stepped_it_begins_at_the_weights_of_now():
    """Three plain steps, of which it knows nothing, and then it jumps every second."""
    variable, inner = keras.Variable(START), keras.optimizers.SGD(0.1)
    optimizers.step(inner, variable, STEPS[:3])
    optimizer = Lookahead(inner, 2, 0.5)
    optimizers.step(optimizer, variable, STEPS[3:6])
    begun = START - 0.1 * np.sum(STEPS[:3], axis=0)
    slow = begun - 0.05 * np.sum(STEPS[3:5], axis=0)
    found = keras.ops.convert_to_numpy(variable)
    np.testing.assert_allclose(found, slow - 0.1 * STEPS[5], rtol=1e-5)


def test_a_saved_model_goes_on_with_the_slow_weights_that_it_had(tmp_path):
    """Its optimizer had stepped before it looked ahead; it is saved between jumps."""
    x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    some = {"batch_size": 8, "verbose": 0}
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    model.fit(x, y, epochs=3, **some)
    model.compile(Lookahead(model.optimizer, 5), "mse", jit_compile=False)
    model.fit(x, y, epochs=2, **some)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    for each in (model, loaded):
        each.fit(x, y, epochs=3, **some)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sync_period": 0}, "`sync_period` must be at least 1"),
        ({"slow_step_size": 0.0}, "`slow_step_size` must be .* greater than 0"),
        ({"slow_step_size": 1.1}, "`slow_step_size` must be .* at most 1. Received"),
        ({"optimizer": Lookahead("sgd")}, "Received: optimizer=Lookahead"),
        (
            {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())},
            r"LossScaleOptimizer\(Lookahead",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Lookahead(**{"optimizer": "sgd", **arguments})
