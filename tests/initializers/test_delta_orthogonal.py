"""DeltaOrthogonal: what the kernel is, and that a deep net of them keeps lengths."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts.initializers import DeltaOrthogonal


def test_only_the_centre_weighs_and_is_orthogonal():
    for window in ((3, 3), (5,), (4, 1, 2)):
        kernel = ops.convert_to_numpy(
            DeltaOrthogonal(gain=2.0, seed=3)((*window, 3, 6))
        )
        centre = tuple((size - 1) // 2 for size in window)
        np.testing.assert_allclose(
            kernel[centre] @ kernel[centre].T, 4 * np.eye(3), atol=1e-5
        )
        kernel[centre] = 0
        assert not kernel.any()


@pytest.mark.parametrize("window", [3, (2, 4)])
def test_many_linear_convolutions_keep_every_length(window):
    """Padding in zeros makes no difference, as the rim of a window weighs nothing."""
    part = DeltaOrthogonal(None, seed=0)
    layer = keras.layers.Conv2D(4, window, padding="same", kernel_initializer=part)
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 4)).astype("float32")
    y = x
    for _ in range(30):
        y = ops.convert_to_numpy(layer(y))
    assert (y**2).sum() == pytest.approx((x**2).sum(), rel=1e-4)


def test_a_kernel_has_two_axes():
    with pytest.raises(ValueError, match="last two axes"):
        DeltaOrthogonal()((3,))
    with pytest.raises(ValueError, match="gain"):
        DeltaOrthogonal(gain=0)
