"""C-cells of a Neocognitron: a pattern that was found, wherever it was nearby.

    x_k = sum_i d_i u_ki                 what plane k holds in the cell's field
    v   = mean_k x_k                     the inhibitory cell, of all planes
    y_k = psi((1 + x_k) / (1 + v) - 1)   psi(x) = x / (alpha + x) for x > 0, else 0
    y_k = max_i u_ki                     pooling="max"

    d_i = gain decay^(distance of i from the center)

Shapes: u (batch, height, width, planes) -> y (batch, height, width, planes); height and
width as of a pooling layer. Training and inference are the same.
Fukushima 1980, "Neocognitron"; the maximum is from Weng, Ahuja & Huang 1992,
"Cresceptron: a self-organizing neural network which grows adaptively".
"""

from typing import Literal

import keras
from keras import ops

from keras_dlparts.backend import keras_private
from keras_dlparts.layers.neocognitron import fields
from keras_dlparts.support.checks import check_count, check_number, check_word

CASES = {
    "NeocognitronC": (
        {
            "arguments": {"pool_size": 3},
            "input_shape": (4, 5, 6, 3),
            "positive": True,
        },
    )
}


def saturated(x, alpha):
    """psi(x): x / (alpha + x) where x is positive, 0 elsewhere."""
    x = ops.relu(x)
    return x / (alpha + x)


@keras.saving.register_keras_serializable("dlparts")
class NeocognitronC(keras.layers.Layer):
    """Planes of C-cells, which blur and thin out the planes of S-cells before them.

    A C-cell responds if an S-cell of its plane does somewhere in its field, so a shift
    of the pattern changes little. Nothing is learnt here. Blurring C-cells are
    inhibited by the mean over all planes: what responds less than the mean is gone.

    Args:
        pool_size: Integer or two. The field that a cell sees.
        strides: Integer. How far the fields of neighbors are apart, on both axes.
        padding: `"valid"` or `"same"`, as of `keras.layers.MaxPooling2D`.
        pooling: `"blur"`, Fukushima's cells; or `"max"`, the Cresceptron's, which have
            no inhibition and no saturation.
        saturation: Float, `> 0`, alpha: the response is 1/2 there. Of `"blur"`.
        gain: Float, `> 0`. d at the center. Of `"blur"`.
        decay: Float, `> 0` and at most 1. d falls by this factor a cell of distance. Of
            `"blur"`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, planes)`, `>= 0`.

    Output shape: `(batch, height, width, planes)`, in height and width as of a pooling
    layer.

    Example:

    >>> import numpy as np
    >>> x = np.zeros((1, 4, 4, 2), "float32")
    >>> x[0, 0, 1, 0] = 1  # one S-cell, of the first plane
    >>> y = NeocognitronC(2, pooling="max")(x)
    >>> keras.ops.convert_to_numpy(y)[0, :, :, 0].tolist()
    [[1.0, 0.0], [0.0, 0.0]]

    Reference: Fukushima 1980, https://doi.org/10.1007/BF00344251
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 5,
        strides: int = 2,
        padding: Literal["valid", "same"] = "valid",
        pooling: Literal["blur", "max"] = "blur",
        saturation: float = 0.5,
        gain: float = 1.0,
        decay: float = 0.9,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_word("padding", padding, ("valid", "same"))
        check_word("pooling", pooling, ("blur", "max"))
        check_number("saturation", saturation, above=0)
        check_number("gain", gain, above=0)
        check_number("decay", decay, above=0, most=1)
        self.pool_size = fields.pair("pool_size", pool_size)
        self.strides = check_count("strides", strides)
        self.padding = padding
        self.pooling = pooling
        self.saturation = saturation
        self.gain = gain
        self.decay = decay
        keras_private.build_at_init(self)

    def call(self, inputs):
        fields.check_planes(self, inputs.shape, "pool_size", self.pool_size)
        u = fields.activities(inputs)
        y = self._largest(u) if self.pooling == "max" else self._blurred(u)
        return ops.cast(y, self.compute_dtype)

    def _largest(self, u):
        return ops.max_pool(
            u, self.pool_size, self.strides, self.padding, data_format="channels_last"
        )

    def _blurred(self, u):
        d = self.gain * fields.falling(self.pool_size, self.decay)
        d = ops.convert_to_tensor(
            d[..., None, None].repeat(u.shape[-1], axis=2), "float32"
        )
        x = ops.depthwise_conv(
            u, d, self.strides, self.padding, data_format="channels_last"
        )
        v = ops.mean(x, axis=-1, keepdims=True)
        return saturated((x - v) / (1 + v), self.saturation)

    def compute_output_shape(self, input_shape):
        fields.check_planes(self, input_shape, "pool_size", self.pool_size)
        size = fields.spatial(input_shape, self.pool_size, self.strides, self.padding)
        return (input_shape[0], *size, input_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "pooling": self.pooling,
            "saturation": self.saturation,
            "gain": self.gain,
            "decay": self.decay,
        }
