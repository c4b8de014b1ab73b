"""Fixed points, cycles and their multipliers: those of maps that are worked out."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts.analysis import (
    as_map,
    cobweb,
    composed_graphs,
    fixed_points,
    iterate,
    linear_depth,
)
from keras_dlparts.layers import LayerNormLSTM


def logistic(x):
    return 3.5 * x * (1 - x)


def test_the_logistic_map_of_the_lecture_notes():
    zero, other = fixed_points(logistic)
    assert (zero.points[0], zero.multiplier.real) == pytest.approx((0, 3.5), abs=1e-6)
    assert other.points[0] == pytest.approx(5 / 7)
    assert other.multiplier.real == pytest.approx(-1.5)
    assert (zero.kind, other.kind) == ("source", "source")
    (cycle,) = fixed_points(logistic, period=4)
    np.testing.assert_allclose(
        cycle.points, [0.3828, 0.8269, 0.5009, 0.8750], atol=5e-5
    )
    assert cycle.multiplier.real == pytest.approx(-0.0305, abs=5e-5)
    assert (cycle.kind, cycle.period) == ("sink", 4)
    assert fixed_points(logistic, period=3) == []
    # A start goes there.
    np.testing.assert_allclose(
        np.sort(iterate(logistic, 0.2, 400)[-4:]), np.sort(cycle.points), atol=1e-9
    )


def test_superstable_and_neutral_points():
    (zero, half) = fixed_points(lambda x: 2 * x * (1 - x))
    assert (zero.kind, half.kind) == ("source", "superstable")
    assert fixed_points(lambda x: 1 - x)[0].kind == "neutral"


def test_a_vector_map_has_eigenvalues():
    """(x, y) -> (x^2, y / 2): a sink at 0 and a saddle at (1, 0)."""
    found = fixed_points(
        lambda v: np.array([v[0] ** 2, v[1] / 2]), (-1.5, 1.5), units=2, starts=60
    )
    kinds = {tuple(np.round(c.points[0], 6) + 0.0): c.kind for c in found}
    assert kinds == {(0.0, 0.0): "sink", (1.0, 0.0): "saddle"}
    saddle = next(c for c in found if c.kind == "saddle")
    np.testing.assert_allclose(saddle.eigenvalues, [2, 0.5], atol=1e-6)


def test_a_recurrent_layer_without_input():
    """h <- tanh(2 h): 0 repels, and the two places of tanh(2 h) = h attract."""
    rnn = kl.SimpleRNN(1, recurrent_initializer=keras.initializers.Constant(2.0))
    rnn.build((None, 3, 2))
    step = as_map(rnn)
    found = fixed_points(step, (-2, 2), units=1, starts=40)
    assert [c.kind for c in found] == ["sink", "source", "sink"]
    place = float(found[2].points[0, 0])
    assert place == pytest.approx(np.tanh(2 * place), abs=1e-6)
    slope = 2 * (1 - place**2)
    assert found[2].multiplier.real == pytest.approx(slope, abs=1e-3)  # float32
    lstm = LayerNormLSTM(3)
    lstm(np.ones((2, 4, 2), "float32"))
    assert as_map(lstm).units == 6
    assert iterate(as_map(lstm), np.zeros(6), 5).shape == (6, 6)
    layer = kl.Dense(3)
    layer(np.ones((1, 3), "float32"))
    assert as_map(layer)(np.zeros(3)).shape == (3,)


def test_eigenvalues_to_the_power_k():
    """A matrix that is not normal grows for a while though its eigenvalues fade."""
    found = linear_depth(np.array([[0.5, 10.0], [0.0, 0.8]]), 60)
    np.testing.assert_allclose(found.eigenvalues, [0.8, 0.5])
    np.testing.assert_allclose(found.powers[60], [0.8**60, 0.5**60])
    assert found.gains.max() > 10
    assert found.gains[-1] < 0.01
    assert len(found.figure().axes) == 2


def test_the_linear_recurrence_of_the_lecture_notes():
    """x <- V (W x + U h) goes to (1 - V W)^-1 V U h where |eigenvalues of V W| < 1."""
    random = np.random.default_rng(0)
    v, w, u = (random.normal(size=(3, 3)) / 3 for _ in range(3))
    h = np.ones(3)
    assert np.abs(linear_depth(v @ w, 1).eigenvalues[0]) < 1
    (found,) = fixed_points(lambda x: v @ (w @ x + u @ h), (-3, 3), units=3, starts=3)
    wanted = np.linalg.solve(np.eye(3) - v @ w, v @ u @ h)
    np.testing.assert_allclose(found.points[0], wanted, atol=1e-8)


def test_pictures():
    assert len(cobweb(logistic, 0.2, 10).axes[0].lines) == 4
    panels = composed_graphs(logistic, (1, 4)).axes
    filled = [line for line in panels[1].lines if line.get_markerfacecolor() == "C3"]
    assert sum(len(line.get_xdata()) for line in filled) == 4


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="low < high"):
        fixed_points(logistic, (1, 0))
    with pytest.raises(ValueError, match="shape of its argument"):
        iterate(lambda x: np.zeros(2), np.zeros(3), 1)
    with pytest.raises(ValueError, match="must be square"):
        linear_depth(np.zeros((2, 3)), 2)
    with pytest.raises(ValueError, match="must be built"):
        as_map(kl.Dense(2))
