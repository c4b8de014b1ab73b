"""FixedFilter against scipy and its formulas."""

import keras
import numpy as np
import pytest
from helpers.precision import FLOAT64
from scipy import ndimage

from keras_dlparts.layers import FixedFilter
from keras_dlparts.layers.preprocessing.fixed_filter import FILTERS

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (2, 7, 9, 2)).astype("uint8")
# The names that scipy has for the ways to go on at the border.
MODES = {"reflect": "mirror", "edge": "nearest", "same": "constant"}


def given(images=IMAGES, **options):
    return keras.ops.convert_to_numpy(FixedFilter(**options)(images))


def by_scipy(function, images=IMAGES):
    """A function of one image and channel, on all of them."""
    found = [[function(one[..., c]) for c in range(2)] for one in images.astype(float)]
    return np.moveaxis(np.array(found), 1, -1)


@pytest.mark.parametrize("dtype", [FLOAT64])
def test_the_length_of_a_slope_has_all_digits_of_float64(dtype):
    images = RANDOM.normal(size=(2, 7, 9, 2))
    slopes = given(images, filter="sobel", dtype=dtype)
    found = given(images, filter="sobel", magnitude=True, dtype=dtype)
    expected = np.hypot(slopes[..., ::2], slopes[..., 1::2])
    assert found.dtype == "float64"
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("padding", MODES)
def test_filters_are_those_of_scipy(padding):
    mode = {"mode": MODES[padding]}
    options = {"padding": padding}
    mean = by_scipy(lambda x: ndimage.uniform_filter(x, 5, **mode))
    np.testing.assert_allclose(
        given(filter="mean", kernel_size=5, **options), mean, rtol=1e-4
    )
    smooth = by_scipy(lambda x: ndimage.gaussian_filter(x, 0.8, radius=2, **mode))
    for name, expected in (("gaussian", smooth), ("sharpen", 2.0 * IMAGES - smooth)):
        found = given(filter=name, kernel_size=5, sigma=0.8, **options)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    laplacian = by_scipy(lambda x: ndimage.laplace(x, **mode))
    np.testing.assert_allclose(
        given(filter="laplacian", **options), laplacian, atol=1e-3
    )
    for name in ("sobel", "prewitt"):
        function = getattr(ndimage, name)
        across = by_scipy(lambda x, f=function: f(x, axis=1, **mode))
        down = by_scipy(lambda x, f=function: f(x, axis=0, **mode))
        found = given(filter=name, **options)
        # A channel's two slopes stand next to each other.
        np.testing.assert_allclose(found[..., ::2], across, atol=1e-3)
        np.testing.assert_allclose(found[..., 1::2], down, atol=1e-3)
        length = given(filter=name, magnitude=True, **options)
        np.testing.assert_allclose(length, np.hypot(across, down), rtol=1e-4)


def test_a_constant_image_has_no_edges_unless_zeros_are_added():
    images = np.full((1, 6, 6, 1), 3.0)
    for name in FILTERS:
        for padding in ("reflect", "edge", "valid"):
            found = given(images, filter=name, padding=padding)
            smooths = name in ("mean", "gaussian", "sharpen")
            np.testing.assert_allclose(found, 3.0 * smooths, atol=1e-6)
    assert np.ptp(given(images, filter="sobel", padding="same")) > 1
    assert given(images, filter="mean", padding="valid").shape == (1, 4, 4, 1)
    line = np.tile(np.eye(9)[4], (9, 1))[None, ..., None]
    binomial = given(line, kernel_size=5)[0, 4, 2:7, 0]
    np.testing.assert_allclose(binomial * 16, [1, 4, 6, 4, 1], atol=1e-5)


def test_channels_may_come_first_and_nothing_is_learnt():
    layer = FixedFilter("sobel", data_format="channels_first")
    first = keras.ops.convert_to_numpy(layer(IMAGES.transpose(0, 3, 1, 2)))
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), given(filter="sobel"))
    assert layer.weights == []
    assert layer.compute_output_shape((None, 3, None, 8)) == (None, 6, None, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter": "blur"}, "`filter` must be one of 'mean'"),
        ({"padding": "wrap"}, "`padding` must be one of 'reflect'"),
        ({"kernel_size": 4}, "must be odd"),
        ({"kernel_size": 1}, "at least 3"),
        ({"filter": "sobel", "kernel_size": 5}, "is 3 wide"),
        ({"sigma": 0}, "sigma"),
        ({"filter": "mean", "sigma": 1.0}, "of 'gaussian' and 'sharpen' only"),
        ({"magnitude": True}, "two slopes"),
        ({"data_format": "channels"}, "`data_format` must be one of"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FixedFilter(**options)
