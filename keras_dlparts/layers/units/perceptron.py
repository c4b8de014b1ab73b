"""Rosenblatt's perceptron: a step of a weighted sum, with the rule he taught it by.

    a = x W + b         y = 1 if a >= 0 else 0
    dL/da := dL/dy      the step's own slope is 0 wherever it has one

Shapes: x (..., features) -> y (..., units). Training and inference are the same. With
`losses.PerceptronLoss`, dL/dy = y - t, so plain gradient descent with rate r is his
rule, which moves nothing where the answer is right:

    W <- W + r x' (t - y)       b <- b + r (t - y)

Rosenblatt 1958, "The perceptron"; passing the gradient straight through the step is
from Bengio et al. 2013, arXiv:1308.3432, and lets perceptrons be stacked.
"""

import keras
from keras import ops

CASES = {
    "Perceptron": (
        {"arguments": {"units": 3}, "input_shape": (4, 8)},
        {"arguments": {"units": 2, "use_bias": False}, "input_shape": (2, 3, 4)},
    )
}


def step(a):
    """1 where a >= 0 and 0 elsewhere, with the gradient of the identity."""
    hard = ops.cast(a >= 0, a.dtype)
    return hard + (a - ops.stop_gradient(a))  # a - a is 0 exactly


@keras.saving.register_keras_serializable("dlparts")
class Perceptron(keras.layers.Layer):
    """Units that answer 0 or 1: a step of a weighted sum of the input.

    The weights start from zero, as Rosenblatt's rule may. For perceptrons behind
    perceptrons give a random `kernel_initializer`, or all units would stay alike.

    Args:
        units: Positive integer, the number of answers.
        use_bias: Whether there is a bias.
        kernel_initializer: What W starts from.
        bias_initializer: What b starts from.

    Call arguments:
        inputs: Tensor of shape `(..., features)`.

    Output shape: `(..., units)`.

    Example:

    >>> import numpy as np
    >>> from keras_dlparts.losses import PerceptronLoss
    >>> model = keras.Sequential([keras.Input((2,)), Perceptron(1)])
    >>> model.compile(keras.optimizers.SGD(1.0), PerceptronLoss())
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    >>> y = np.array([[0], [0], [0], [1]], "float32")  # and
    >>> _ = model.fit(x, y, batch_size=1, epochs=10, shuffle=False, verbose=0)
    >>> model.predict(x, verbose=0).ravel().tolist()
    [0.0, 0.0, 0.0, 1.0]

    Reference: Rosenblatt 1958, https://doi.org/10.1037/h0042519
    """

    def __init__(
        self,
        units: int,
        use_bias: bool = True,
        kernel_initializer: str | keras.initializers.Initializer = "zeros",
        bias_initializer: str | keras.initializers.Initializer = "zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(units, bool) or not isinstance(units, int) or units < 1:
            raise ValueError(
                f"`units` must be a positive integer. Received: units={units!r}"
            )
        self.units = units
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.units,), initializer=self.bias_initializer, name="bias"
            )

    def call(self, inputs):
        a = ops.matmul(inputs, self.kernel)
        return step(a if self.bias is None else a + self.bias)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
