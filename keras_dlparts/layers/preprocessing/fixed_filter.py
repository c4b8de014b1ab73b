"""Filters with fixed kernels: noise removal, sharpening and edges.

    y_c = k * x_c                      each channel alone, k fixed and of any size

    mean        1/n^2 everywhere
    gaussian    b b^T, b the binomial coefficients over their sum; or exp(-r^2 / 2 s^2)
    sharpen     2 delta - gaussian     what smoothing takes away, added
    laplacian   [0 1 0; 1 -4 1; 0 1 0]
    sobel       [-1 0 1; -2 0 2; -1 0 1] across x, its transpose across y: two channels
    prewitt     [-1 0 1; -1 0 1; -1 0 1] across x, its transpose across y: two channels

A kernel is not turned round, as in all convolution layers of Keras, so "sobel" is
positive where x grows to the right, and downwards. With `magnitude=True` the two edges
become sqrt(gx^2 + gy^2).

At the border `padding="reflect"` mirrors the image, its edge row not repeated, and
"edge" repeats that row: a constant image stays constant, and has no edges. The zeros of
"same" draw an edge around every image. "valid" keeps inner positions only.
Shapes: x (batch, height, width, channels) -> y (batch, height', width', channels or
2 channels). Training and inference are the same. Integers are computed as floats.
Gonzalez & Woods 2018, "Digital Image Processing", chapter 3.
"""

from typing import Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.support.checks import (
    check_count,
    check_flag,
    check_number,
    check_word,
)

_ACROSS = {"sobel": (1, 2, 1), "prewitt": (1, 1, 1)}
FILTERS = ("mean", "gaussian", "sharpen", "laplacian", *_ACROSS)
PADDINGS = ("reflect", "edge", "same", "valid")

CASES = {
    "FixedFilter": (
        {
            "arguments": {"filter": "sobel", "magnitude": True},
            "input_shape": (2, 4, 5, 2),
        },
    )
}


def kernels(name, size=3, sigma=None):
    """The kernels (size, size, number) of a filter, as an array."""
    if name in _ACROSS:
        across = np.outer(_ACROSS[name], (-1.0, 0.0, 1.0))
        return np.stack([across, across.T], axis=-1)
    if name == "laplacian":
        return np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], "float64")[..., None]
    if name == "mean":
        return np.full((size, size, 1), 1 / size**2)
    if sigma is None:
        line = np.array([1.0])
        for _ in range(size - 1):
            line = np.convolve(line, [0.5, 0.5])
    else:
        line = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
        line /= line.sum()
    smooth = np.outer(line, line)
    if name == "sharpen":
        smooth = -smooth
        smooth[size // 2, size // 2] += 2
    return smooth[..., None]


def length(x, y):
    """sqrt(x^2 + y^2), with the gradient 0 at 0, where the root has none."""
    # The square of a slope may be more than float16 holds.
    x, y = map(backend.at_least_float32, (x, y))
    return backend.root(x**2 + y**2)


@keras.saving.register_keras_serializable("dlparts")
class FixedFilter(keras.layers.Layer):
    """Filters each channel of images with a kernel that is known and not learnt.

    Args:
        filter: `"mean"` or `"gaussian"` against noise, `"sharpen"`, `"laplacian"` for
            spots and fine lines, `"sobel"` or `"prewitt"` for edges; see the table
            above. The last two give two channels for each one: the slopes along x and
            along y, next to each other.
        kernel_size: Integer, odd, `>= 3`. The window of `"mean"`, `"gaussian"` and
            `"sharpen"`; the others are 3 wide.
        sigma: Optional float, `> 0`. The deviation of `"gaussian"` and `"sharpen"`, in
            pixels. None for binomial weights, which have a deviation of
            `sqrt(kernel_size - 1) / 2`.
        magnitude: Whether `"sobel"` and `"prewitt"` give the length of the slope
            instead, one channel for each.
        padding: `"reflect"`, `"edge"`, `"same"` (zeros) or `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`. None: that of Keras'
            config.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`, of floats or
            integers; the output is of the layer's dtype. `"reflect"` needs images
            wider than half the window.

    Output shape: `(batch, height, width, channels)`, twice as many channels for edges
    without `magnitude`; `"valid"` takes `kernel_size - 1` off height and width.

    Example:

    >>> image = np.zeros((1, 3, 4, 1))
    >>> image[:, :, 2:] = 1
    >>> edges = FixedFilter("sobel", magnitude=True)(image)
    >>> ops.convert_to_numpy(edges)[0, 1, :, 0].tolist()
    [0.0, 4.0, 4.0, 0.0]

    Reference: Gonzalez & Woods 2018, "Digital Image Processing", chapter 3.
    """

    def __init__(
        self,
        filter: Literal[
            "mean", "gaussian", "sharpen", "laplacian", "sobel", "prewitt"
        ] = "gaussian",
        kernel_size: int = 3,
        sigma: float | None = None,
        magnitude: bool = False,
        padding: Literal["reflect", "edge", "same", "valid"] = "reflect",
        data_format: Literal["channels_last", "channels_first"] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, words in (
            ("filter", filter, FILTERS),
            ("padding", padding, PADDINGS),
        ):
            check_word(name, value, words)
        check_count("kernel_size", kernel_size, 3)
        check_flag("magnitude", magnitude)
        if kernel_size % 2 == 0:
            raise ValueError(
                "`kernel_size` must be odd, so that the window has a centre. "
                f"Received: kernel_size={kernel_size}"
            )
        sized = filter in ("mean", "gaussian", "sharpen")
        if kernel_size != 3 and not sized:
            raise ValueError(
                f"The window of {filter!r} is 3 wide. Received: "
                f"kernel_size={kernel_size}; put a gaussian of that size before it"
            )
        if sigma is not None:
            check_number("sigma", sigma, above=0)
            if filter not in ("gaussian", "sharpen"):
                raise ValueError(
                    "`sigma` is of 'gaussian' and 'sharpen' only. Received: "
                    f"sigma={sigma} with {filter!r}"
                )
        if magnitude and filter not in _ACROSS:
            raise ValueError(
                "`magnitude` is of filters with two slopes, 'sobel' and 'prewitt'. "
                f"Received: magnitude=True with {filter!r}"
            )
        self.filter = filter
        self.kernel_size = kernel_size
        self.sigma = sigma
        self.magnitude = magnitude
        self.padding = padding
        self.data_format = keras.config.image_data_format()
        if data_format is not None:
            check_word("data_format", data_format, ("channels_last", "channels_first"))
            self.data_format = data_format
        self.input_spec = keras.layers.InputSpec(ndim=4)
        self._kernels = kernels(filter, kernel_size, sigma)

    def call(self, inputs):
        x = ops.cast(inputs, self.compute_dtype)
        first = self.data_format == "channels_first"
        if first:
            x = ops.transpose(x, (0, 2, 3, 1))
        if self.padding in ("reflect", "edge"):
            x = _padded(x, self.kernel_size // 2, self.padding)
        channels = x.shape[-1]
        kernel = np.repeat(self._kernels[:, :, None], channels, axis=2)
        y = ops.depthwise_conv(
            x,
            ops.convert_to_tensor(kernel, self.compute_dtype),
            padding="same" if self.padding == "same" else "valid",
            data_format="channels_last",
        )
        if self.magnitude:
            y = ops.cast(length(y[..., ::2], y[..., 1::2]), self.compute_dtype)
        return ops.transpose(y, (0, 3, 1, 2)) if first else y

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        channels, space = -1, (1, 2)
        if self.data_format == "channels_first":
            channels, space = 1, (2, 3)
        if self.padding == "valid":
            for axis in space:
                if shape[axis] is not None:
                    shape[axis] -= self.kernel_size - 1
        if shape[channels] is not None and self.filter in _ACROSS:
            shape[channels] *= 1 if self.magnitude else 2
        return tuple(shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filter": self.filter,
            "kernel_size": self.kernel_size,
            "sigma": self.sigma,
            "magnitude": self.magnitude,
            "padding": self.padding,
            "data_format": self.data_format,
        }


def _padded(x, half, mode):
    """Images with rows and columns added on each side, as `numpy.pad` does."""
    if mode == "reflect":
        around = ((0, 0), (half, half), (half, half), (0, 0))
        return ops.pad(x, around, mode="reflect")
    # Keras' `pad` has no mode for this.
    rows = [ops.repeat(x[:, :1], half, axis=1), x, ops.repeat(x[:, -1:], half, axis=1)]
    x = ops.concatenate(rows, axis=1)
    left, right = x[:, :, :1], x[:, :, -1:]
    columns = [ops.repeat(left, half, axis=2), x, ops.repeat(right, half, axis=2)]
    return ops.concatenate(columns, axis=2)
