"""StochasticDepth against its formula."""

import keras
import numpy as np
import pytest

from keras_dlparts.layers.residual.stochastic_depth import StochasticDepth, drop_samples


def test_formula():
    x = np.arange(12.0).reshape(4, 3)
    u = np.array([[0.1], [0.25], [0.2499], [0.9]])
    expected = np.array(
        [row * (draw >= 0.25) / 0.75 for row, draw in zip(x, u[:, 0], strict=True)]
    )
    ours = drop_samples(keras.ops.array(x), 0.25, keras.ops.array(u))
    ours = keras.ops.convert_to_numpy(ours)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_the_mean_is_the_input_and_samples_go_whole():
    y = StochasticDepth(0.3, seed=1)(np.ones((4000, 2, 2), "float32"), training=True)
    y = keras.ops.convert_to_numpy(y)
    assert y.mean() == pytest.approx(1, abs=0.03)
    assert set(np.ptp(y.reshape(4000, -1), axis=1)) == {0.0}


def test_rates_at_their_bounds():
    StochasticDepth(0.0)
    StochasticDepth(0)
    for rate in (1.0, -0.001, 1):
        with pytest.raises(ValueError, match="0 <= rate < 1"):
            StochasticDepth(rate)
    with pytest.raises(TypeError, match="a number"):
        StochasticDepth("0.5")
