"""k-sparse codes: of each sample's units only the k largest are kept.

    y_j = x_j [x_j is among the k largest of x]          training
    the same with round(test_factor k) units             inference

The gradient passes through the kept units only. Where several are equal to the k-th
largest, all of them are kept. Shapes: x (batch, ..., units) -> y, the same shape.
Makhzani & Frey 2014, "k-sparse autoencoders", arXiv:1312.5663.
"""

import keras
from keras import ops

from keras_dlparts.backend import keras_private
from keras_dlparts.support.checks import check_count, check_number

CASES = {
    "KSparse": ({"arguments": {"k": 2, "test_factor": 1.5}, "input_shape": (4, 6)},)
}


def k_largest(x, k):
    """x with all but the k largest of the last axis set to zero."""
    least = ops.stop_gradient(ops.top_k(x, k)[0][..., -1:])
    return ops.where(x >= least, x, ops.zeros_like(x))


@keras.saving.register_keras_serializable("dlparts")
class KSparse(keras.layers.Layer):
    """Keeps the k largest values of each sample, and sets the others to zero.

    Put it behind a linear layer. As the `code` of `models.Autoencoder` it makes a
    k-sparse autoencoder. Learning with a small k from the start leaves many units that
    are never among the largest; the authors lower k over the first epochs.

    Args:
        k: Integer, `>= 1`. How many values are kept in training; at most as many as
            there are.
        test_factor: Float, `>= 1`. In inference so many times k are kept (rounded, at
            most all of them); the authors use 1 to 3.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., units)`.
        training: Boolean. Whether k values are kept, or `test_factor` times as many.

    Output shape: that of the input. Masks pass.

    Example:

    >>> import numpy as np
    >>> layer = KSparse(1, test_factor=2.0)
    >>> x = np.array([[3.0, 1.0, 2.0]], "float32")
    >>> keras.ops.convert_to_numpy(layer(x, training=True)).tolist()
    [[3.0, 0.0, 0.0]]
    >>> keras.ops.convert_to_numpy(layer(x)).tolist()
    [[3.0, 0.0, 2.0]]

    Reference: Makhzani & Frey 2014, https://arxiv.org/abs/1312.5663
    """

    def __init__(self, k: int, test_factor: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        check_count("k", k)
        check_number("test_factor", test_factor, least=1)
        self.k = k
        self.test_factor = test_factor
        self.supports_masking = True
        keras_private.build_at_init(self)

    def call(self, inputs, training=False):
        self._check(inputs.shape)
        units = inputs.shape[-1]
        k = self.k if training else min(units, round(self.test_factor * self.k))
        return k_largest(inputs, k)

    def _check(self, shape):
        units = shape[-1]
        if units is None:
            raise ValueError(
                "`KSparse` needs to know how many units there are. Received: an input "
                f"of shape {tuple(shape)}; give the layer before it a number of units"
            )
        if self.k > units:
            raise ValueError(
                "`k` must be at most the number of units of the code. Received: "
                f"k={self.k} for {units} units; lower k, or make the code wider"
            )

    def compute_output_shape(self, input_shape):
        self._check(input_shape)
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "k": self.k,
            "test_factor": self.test_factor,
        }
