"""The mean-field theory: published depth scales, and random nets that follow it."""

import numpy as np
import pytest

from keras_dlparts.analysis import mean_field, phase_diagram, through_layers


@pytest.mark.parametrize(
    ("variance", "xi_c"),
    [(1.0, 3.63), (1.3, 7.83), (1.5, 15.8), (1.7, 74.9), (2.0, 25.2), (3.0, 9.05)],
)
def test_depth_scales_of_tanh(variance, xi_c):
    found = mean_field("tanh", variance, 0.05)
    assert found.xi_c == pytest.approx(xi_c, rel=3e-3)
    assert found.phase == ("ordered" if variance < 1.761 else "chaotic")


def test_the_chaotic_correlation_and_the_critical_point():
    assert mean_field("tanh", 2.0, 0.05).c == pytest.approx(0.744, abs=5e-4)
    assert mean_field("tanh", 1.76095, 0.05).phase == "critical"


def test_relu_grows_or_fades_without_end():
    assert mean_field("relu", 2.5).q == np.inf
    assert mean_field("relu", 1.5).q == 0
    he = mean_field("relu", 2.0)
    assert (he.q, he.phase) == (1.0, "critical")  # it stays where it starts


def test_dropout_leaves_no_critical_point():
    """Equal inputs do not stay equal: c* < 1, with a finite depth, at every s_w^2."""
    for variance in (1.3, 1.5, 1.7, 2.0):
        found = mean_field("tanh", variance, 0.05, dropout=0.1)
        assert found.c < 1
        assert found.xi_c < 40


def random_net(w, b, depth, width, rate=0.0, v=None):
    """(variance, correlation) of pairs of inputs through a tanh net of numpy."""
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 20, width))
    x[1] = 0.5 * x[0] + np.sqrt(0.75) * x[1]
    found = [x]
    for _ in range(depth):
        weights = random.normal(size=(width, width)) * np.sqrt(w / width)
        masks = (random.uniform(size=x.shape) >= rate) / (1 - rate)
        bias = random.normal(size=width) * np.sqrt(b)
        if v is None:
            x = (np.tanh(x) * masks) @ weights + bias
        else:
            branch = random.normal(size=(width, width)) * np.sqrt(v / width)
            x = x + np.tanh(x @ weights + bias) @ branch
        found.append(x)
    variance = np.array([(x**2).mean() for x in found])
    return variance, np.array([(x[0] * x[1]).mean() for x in found]) / variance


@pytest.mark.parametrize("case", [{}, {"rate": 0.3}, {"v": 1.2}])
def test_a_wide_random_net_follows(case):
    theory = through_layers(
        "tanh", 1.8, 0.05, depth=8, dropout=case.get("rate", 0),
        branch_variance=case.get("v"),
    )  # fmt: skip
    net = random_net(1.8, 0.05, 8, 800, **case)
    np.testing.assert_allclose(theory["variance"], net[0], rtol=0.06)
    np.testing.assert_allclose(theory["correlation"], net[1], atol=0.05)


def test_gradients_multiply():
    found = through_layers("linear", 0.5, depth=4)
    np.testing.assert_allclose(
        found["gradient"], 0.5 ** np.arange(4, -1, -1), rtol=1e-6
    )
    found = through_layers("linear", 1.0, depth=3, branch_variance=1.0)
    np.testing.assert_allclose(
        found["gradient"], 2.0 ** np.arange(3, -1, -1), rtol=1e-6
    )


def test_the_line_and_its_picture():
    line = phase_diagram("relu", [0.0, 0.1])  # with biases there is none
    np.testing.assert_allclose([line.weight_variance, line.bias_variance], [[2], [0]])
    figure = phase_diagram("tanh", [0, 0.1, 0.3]).figure({"mine": (1.5, 0.1)})
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()][
        -1
    ] == ("mine")


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="weight_variance"):
        mean_field("tanh", 0)
    with pytest.raises(ValueError, match="dropout"):
        mean_field("tanh", 1.0, dropout=1.0)
    with pytest.raises(ValueError, match="1e12"):
        through_layers("relu", 50.0, depth=20)
    with pytest.raises(ValueError, match="edge of chaos"):
        phase_diagram("relu", [0.1])
