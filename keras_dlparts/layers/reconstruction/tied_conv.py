"""A transposed convolution with the kernel of a convolution: its adjoint.

    the other     h = f(K x + c)                 K: a convolution as a matrix
    this one      y = g(K^T h + b)               <K x, h> = <x, K^T h>

y has the spatial size that the convolution was built on, whatever its strides and
padding. Shapes: h (batch, *steps, filters) -> y (batch, *spatial, channels). Training
and inference are the same.
Zeiler et al. 2010, "Deconvolutional networks".
"""

from collections.abc import Callable

import keras
from keras import ops

from keras_dlparts.layers.reconstruction.tied import Tied


def _conv(folder):
    layer = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)
    layer.build((None, 5, 6, 2))
    return {"layer": layer, "activation": "tanh"}


CASES = {"TiedConv": ({"arguments": _conv, "input_shape": (2, 3, 3, 4)},)}


def adjoint(h, kernel, strides, dilation, left, sizes):
    """K^T h. `left` is what the convolution pads before the first element."""
    # TensorFlow has no transposed convolution with gaps on some processors.
    y = ops.conv_transpose(
        h, spread(kernel, dilation), strides, "valid", data_format="channels_last"
    )
    kept = [slice(at, at + size) for at, size in zip(left, sizes, strict=True)]
    y = y[(slice(None), *kept)]
    missing = [(0, n - m) for n, m in zip(sizes, y.shape[1:-1], strict=True)]
    return ops.pad(y, [(0, 0), *missing, (0, 0)])


def spread(kernel, dilation):
    """A kernel with the zeros in it that a dilation leaves between its elements."""
    for axis, rate in enumerate(dilation):
        if rate == 1:
            continue
        size = kernel.shape[axis]
        gaps = [(0, 0)] * (len(kernel.shape) + 1)
        gaps[axis + 1] = (0, rate - 1)
        kernel = ops.pad(ops.expand_dims(kernel, axis + 1), gaps)
        shape = list(kernel.shape)
        shape[axis : axis + 2] = [size * rate]
        kernel = ops.reshape(kernel, shape)
        kept = [slice(None)] * axis + [slice((size - 1) * rate + 1)]
        kernel = kernel[tuple(kept)]
    return kernel


@keras.saving.register_keras_serializable("dlparts")
class TiedConv(Tied):
    """Computes with the kernel of a convolution, transposed.

    The convolution must be built before, on a known spatial size, which this layer
    gives back. Saving and loading are as of `TiedDense`.

    Args:
        layer: A `keras.layers.Conv1D`, `Conv2D` or `Conv3D` with channels last and one
            group.
        activation: Name or function; None for none.
        use_bias: Whether there is a bias.
        bias_initializer: Of the bias.

    Call arguments:
        inputs: Tensor of the shape that `layer` gives.

    Output shape: that of the input of `layer`.

    Example:

    >>> import keras
    >>> x = keras.Input((7, 7, 1))
    >>> conv = keras.layers.Conv2D(4, 3, strides=2)
    >>> model = keras.Model(x, TiedConv(conv)(conv(x)))
    >>> model.output_shape
    (None, 7, 7, 1)
    """

    kinds = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)

    def __init__(
        self,
        layer: keras.layers.Layer,
        activation: str | Callable | None = None,
        use_bias: bool = True,
        bias_initializer: str | keras.initializers.Initializer = "zeros",
        **kwargs,
    ):
        super().__init__(layer, activation, use_bias, bias_initializer, **kwargs)
        if layer.groups != 1 or layer.data_format != "channels_last":
            raise ValueError(
                "`layer` must be a convolution with channels last and one group. "
                f"Received: data_format={layer.data_format!r}, groups={layer.groups}"
            )

    def build(self, input_shape):
        super().build(input_shape)
        sizes = self._sizes()
        wanted = self.layer.compute_output_shape((None, *sizes, 1))[1:-1]
        if tuple(input_shape[1:-1]) != tuple(wanted):
            raise ValueError(
                f"TiedConv takes what {self.layer.name!r} gives, of the spatial shape "
                f"{tuple(wanted)}. Received: an input of shape {tuple(input_shape)}"
            )

    def _sizes(self):
        sizes = tuple(self.layer.get_build_config()["input_shape"][1:-1])
        if None in sizes:
            raise ValueError(
                "TiedConv gives back the size that the convolution was built on, which "
                f"must be known. Received: {sizes}; build {self.layer.name!r} on a "
                "shape without None"
            )
        return sizes

    def _left(self):
        """What the convolution pads before the first element, for each axis."""
        layer, found = self.layer, []
        for n, k, s, d in zip(
            self._sizes(),
            layer.kernel_size,
            layer.strides,
            layer.dilation_rate,
            strict=True,
        ):
            reach = (k - 1) * d
            steps = -(-n // s)
            same = max((steps - 1) * s + reach + 1 - n, 0) // 2
            found.append({"same": same, "causal": reach}.get(layer.padding, 0))
        return found

    def call(self, inputs):
        layer = self.layer
        kernel = ops.cast(layer.kernel, self.compute_dtype)
        y = adjoint(
            inputs,
            kernel,
            layer.strides,
            layer.dilation_rate,
            self._left(),
            self._sizes(),
        )
        return self._ended(y)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self._sizes(), self.layer.kernel.shape[-2])
