"""A dense layer with the transposed kernel of another.

    the other     h = f(x W + c)                 W (features, units)
    this one      y = g(h W^T + b)               b of its own

One kernel serves both, and gets the sum of both gradients. Shapes: h (batch, ...,
units) -> y (batch, ..., features). Training and inference are the same.
"""

from collections.abc import Callable

import keras
from keras import ops

from keras_dlparts.layers.reconstruction.tied import Tied


def _dense(folder):
    layer = keras.layers.Dense(6, use_bias=False)
    layer.build((None, 3))
    return {"layer": layer, "activation": "tanh"}


CASES = {"TiedDense": ({"arguments": _dense, "input_shape": (4, 6)},)}


@keras.saving.register_keras_serializable("dlparts")
class TiedDense(Tied):
    """Computes with the transpose of another Dense layer's kernel.

    The other layer must be built before. In a model of either kind, functional or of a
    class of one's own, both are saved with one kernel and loaded with one.
    `keras.models.clone_model` copies layer by layer, and its copies are not tied.

    Args:
        layer: A `keras.layers.Dense`.
        activation: Name or function; None for none.
        use_bias: Whether there is a bias.
        bias_initializer: Of the bias.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., units)`, units as `layer` gives.

    Output shape: `(batch, ..., features)`, features as `layer` takes.

    Example:

    >>> import keras
    >>> x = keras.Input((8,))
    >>> dense = keras.layers.Dense(3, activation="relu")
    >>> model = keras.Model(x, TiedDense(dense)(dense(x)))
    >>> [tuple(w.shape) for w in model.weights]  # one kernel, two biases
    [(8, 3), (3,), (8,)]
    """

    kinds = (keras.layers.Dense,)

    def __init__(
        self,
        layer: keras.layers.Layer,
        activation: str | Callable | None = None,
        use_bias: bool = True,
        bias_initializer: str | keras.initializers.Initializer = "zeros",
        **kwargs,
    ):
        super().__init__(layer, activation, use_bias, bias_initializer, **kwargs)
        self.supports_masking = True

    def call(self, inputs):
        kernel = ops.cast(self.layer.kernel, self.compute_dtype)
        return self._ended(ops.matmul(inputs, ops.transpose(kernel)))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.layer.kernel.shape[0])
