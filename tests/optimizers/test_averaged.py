"""Averaged against a slow numpy twin, alone and around other wrappers."""

import keras
import numpy as np
import pytest
from helpers import optimizers

from keras_dlparts.optimizers import Averaged, Clipped, FixedNorm, Lookahead

STEPS = [np.array(g, "float32") for g in np.random.default_rng(0).normal(size=(12, 3))]
START = np.array([1.0, -2.0, 3.0], "float32")


def path(most=np.inf):
    """The weights after each step of SGD with momentum."""
    w, m, found = START.copy(), 0.0, []
    for g in STEPS:
        m = 0.9 * m - 0.1 * g * min(1.0, most / np.linalg.norm(g))
        w = w + m
        found.append(w)
    return np.array(found)


def twin(kind, start, every, momentum=0.8, window=3):
    """The average of what `path` gives, by the formula."""
    snapshots = path()[start:][every - 1 :: every]
    if kind == "ema":
        a = snapshots[0]
        for v in snapshots[1:]:
            a = momentum * a + (1 - momentum) * v
        return a
    return (snapshots[-window:] if kind == "sma" else snapshots).mean(axis=0)


def stepped(optimizer):
    """The variable after all steps."""
    return optimizers.stepped(optimizer, START, STEPS)


def sgd(**more):
    return keras.optimizers.SGD(0.1, momentum=0.9, **more)


@pytest.mark.parametrize("kind", ["ema", "sma", "tail"])
def test_it_averages_as_written_down_and_steps_as_before(kind):
    for start, every in ((0, 1), (3, 2), (10, 2)):
        optimizer = Averaged(sgd(), kind, start, every, momentum=0.8, window=3)
        np.testing.assert_array_equal(stepped(optimizer), stepped(sgd()))
        (found,) = optimizer.averages()
        np.testing.assert_allclose(found, twin(kind, start, every), rtol=1e-5)
        assert optimizer.count == (12 - start) // every


def test_an_exponential_average_is_close_to_the_window_of_the_same_mean_age():
    """Mean age of alpha = 2 / (n + 1) is (1 - alpha) / alpha = (n - 1) / 2; so on a
    straight line both are (n - 1) / 2 steps behind, once the first weight is forgotten.
    """
    n, steps = 5, 60
    for kind in ("ema", "sma"):
        weights = keras.Variable(np.zeros(1, "float32"))
        momentum = (n - 1) / (n + 1)
        optimizer = Averaged(keras.optimizers.SGD(1.0), kind, 0, 1, momentum, n)
        optimizer.build([weights])
        for _ in range(steps):
            optimizer.apply([-keras.ops.ones(1)], [weights])
        (found,) = optimizer.averages()
        assert found[0] == pytest.approx(steps - (n - 1) / 2, abs=1e-4), kind


@pytest.mark.parametrize("kind", ["ema", "sma", "tail"])
def test_the_average_of_weights_of_few_digits_has_more(kind):
    """Of the weights 1, 2, ... 100: in bfloat16 0.999 would be 1."""
    weights = keras.Variable(np.zeros(1, "float32"), dtype="bfloat16")
    optimizer = Averaged(keras.optimizers.SGD(1.0), kind, window=3)
    optimizer.build([weights])
    seen = []
    for _ in range(100):
        optimizer.apply([keras.ops.full((1,), -1.0, "bfloat16")], [weights])
        seen.append(float(keras.ops.convert_to_numpy(weights)[0]))
    shares = {
        "ema": 0.001 * 0.999 ** np.arange(99, -1, -1.0),
        "sma": np.repeat([0, 1 / 3], [97, 3]),
        "tail": np.full(100, 0.01),
    }[kind]
    shares[0] += 1 - shares.sum()
    (found,) = optimizer.averages()
    assert found[0] == pytest.approx(np.dot(shares, seen), rel=1e-5)


def test_it_averages_what_other_wrappers_make():
    optimizer = Averaged(Clipped(sgd(), by=FixedNorm(0.7)), "tail")
    stepped(optimizer)
    expected = path(most=0.7).mean(axis=0)
    np.testing.assert_allclose(optimizer.averages()[0], expected, rtol=1e-5)
    assert optimizer.logs()["clip_threshold"] == pytest.approx(0.7)
    slow = Averaged(Lookahead(sgd(), 4, 0.25), "tail", start=11)
    np.testing.assert_allclose(stepped(slow), slow.averages()[0], rtol=1e-6)


def test_accumulated_gradients_are_one_step():
    optimizer = Averaged(sgd(gradient_accumulation_steps=3), "tail")
    w, m, made = START.copy(), 0.0, []
    for t in range(4):
        m = 0.9 * m - 0.1 * np.mean(STEPS[3 * t : 3 * t + 3], axis=0)
        w = w + m
        made.append(w)
    np.testing.assert_allclose(stepped(optimizer), w, rtol=1e-5)
    expected = np.mean(made, axis=0)
    np.testing.assert_allclose(optimizer.averages()[0], expected, rtol=1e-5)
    assert optimizer.count == 4


@pytest.mark.parametrize("kind", ["ema", "sma", "tail"])
def test_around_an_optimizer_that_has_stepped_it_averages_the_weights_from_now_on(kind):
    variable, inner = keras.Variable(START), sgd()
    optimizers.step(inner, variable, STEPS[:3])
    optimizer = Averaged(inner, kind, 2, 1, momentum=0.8, window=3)
    optimizers.step(optimizer, variable, STEPS[3:])
    assert optimizer.count == 7
    expected = twin(kind, start=5, every=1)
    np.testing.assert_allclose(optimizer.averages()[0], expected, rtol=1e-5)


def test_a_constraint_holds_for_what_is_averaged():
    variable = keras.Variable(START, name="w")
    variable.constraint = keras.constraints.NonNeg()
    optimizer = Averaged(keras.optimizers.SGD(0.0), "tail")
    optimizer.build([variable])
    optimizer.apply([keras.ops.zeros(3)], [variable])
    np.testing.assert_array_equal(optimizer.averages()[0], [1.0, 0.0, 3.0])


def test_there_is_none_before_the_first_snapshot():
    optimizer = Averaged(sgd(), "tail", start=11, every=2)
    with pytest.raises(ValueError, match="before the first snapshot"):
        optimizer.averages()
    stepped(optimizer)
    assert optimizer.count == 0
    with pytest.raises(ValueError, match="before the first snapshot"):
        optimizer.averages()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "mean"}, "`kind` must be"),
        ({"start": -1}, "`start` must be at least 0"),
        ({"every": 0}, "`every` must be at least 1"),
        ({"momentum": 1.0}, "`momentum` must satisfy 0 <= momentum < 1"),
        ({"window": 0}, "`window` must be at least 1"),
        ({"optimizer": Averaged("sgd")}, "Received: optimizer=Averaged"),
        ({"optimizer": Lookahead(Averaged("sgd"))}, "Received: optimizer=Lookahead"),
        (
            {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())},
            r"LossScaleOptimizer\(Averaged",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Averaged(**{"optimizer": "sgd", **arguments})
