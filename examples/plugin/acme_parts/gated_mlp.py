"""Gated MLP: a hidden layer of which one half gates the other.

    y = (act(x W_g) * (x W_v)) W_o        W_g, W_v: (n, units), W_o: (units, n)

With `activation="sigmoid"` it is the GLU, with `"gelu"` GEGLU, with `"silu"` SwiGLU.
Shapes: x (batch, ..., n) -> y (batch, ..., n). The same in training and inference.
Shazeer 2020, "GLU variants improve Transformer", arXiv:2002.05202.
"""

from collections.abc import Callable

import keras
from keras import ops

CASES = {
    "GatedMLP": (
        {"arguments": {"units": 6}, "input_shape": (4, 3)},
        {
            "arguments": {"units": 2, "activation": "sigmoid"},
            "input_shape": (2, 5, 4),
        },
    )
}


def gated_mlp(x, w_g, w_v, w_o, act):
    """The formula above, for weights given."""
    return ops.matmul(act(ops.matmul(x, w_g)) * ops.matmul(x, w_v), w_o)


@keras.saving.register_keras_serializable("acme")
class GatedMLP(keras.layers.Layer):
    """Two dense layers with a gate between them, without biases.

    Args:
        units: Integer, `>= 1`. Width of the hidden layer.
        activation: Of the gate: a name or a function, as in `keras.layers.Dense`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., n)`.

    Output shape: that of the input. Masks pass.

    Example:

    >>> import numpy as np
    >>> layer = GatedMLP(units=8)
    >>> layer(np.ones((2, 5, 3), "float32")).shape[-1], layer.count_params()
    (3, 72)

    Reference: Shazeer 2020, https://arxiv.org/abs/2002.05202
    """

    def __init__(self, units: int, activation: str | Callable = "silu", **kwargs):
        super().__init__(**kwargs)
        if isinstance(units, bool) or not isinstance(units, int):
            raise TypeError(
                f"`units` must be an integer >= 1. Received: units={units!r}"
            )
        if units < 1:
            raise ValueError(f"`units` must be >= 1. Received: units={units}")
        self.units = units
        self.activation = keras.activations.get(activation)
        self.supports_masking = True

    def build(self, input_shape):
        n = input_shape[-1]
        self.w_g = self.add_weight(name="gate", shape=(n, self.units))
        self.w_v = self.add_weight(name="value", shape=(n, self.units))
        self.w_o = self.add_weight(name="output", shape=(self.units, n))

    def call(self, inputs):
        return gated_mlp(inputs, self.w_g, self.w_v, self.w_o, self.activation)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
        }
