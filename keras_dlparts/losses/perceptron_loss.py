"""Half the squared error: the loss whose gradient is the error itself.

    L = 1/2 sum_j (t_j - y_j)^2        dL/dy_j = y_j - t_j

Shapes: t, y (batch, ..., units) -> L (batch, ...). Of answers 0 and 1 it is half the
number of wrong ones. With `layers.Perceptron` its gradient descent is Rosenblatt's
rule; Keras' mean squared error has twice that gradient, over the number of units.
"""

from typing import Literal

import keras
from keras import ops

CASES = {"PerceptronLoss": ({"arguments": {}},)}


def half_squared_error(t, y):
    """1/2 sum_j (t_j - y_j)^2 over the last axis."""
    return ops.sum(ops.square(t - y), axis=-1) / 2


@keras.saving.register_keras_serializable("dlparts")
class PerceptronLoss(keras.losses.Loss):
    """Half the sum of squared errors, for `Perceptron`s with targets 0 and 1.

    Args:
        reduction: As of every Keras loss. The default is the mean over the batch.
        name: Optional name.

    Example:

    >>> loss = PerceptronLoss()
    >>> float(loss([[1.0, 0.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]]))  # (0 + 1) / 2
    0.5
    """

    def __init__(
        self,
        reduction: Literal[
            "sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"
        ]
        | None = "sum_over_batch_size",
        name: str | None = "perceptron_loss",
        **kwargs,
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)

    def call(self, y_true, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(ops.convert_to_tensor(y_true), y_pred.dtype)
        if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:
            y_true = ops.expand_dims(y_true, -1)
        return half_squared_error(y_true, y_pred)

    def get_config(self):
        return {"reduction": self.reduction, "name": self.name}
