"""Masking noise: random elements are set to zero, and the others stay as they are.

    u_ij ~ U(0, 1)                               one draw an element
    y_ij = x_ij [u_ij >= rate]

Unlike dropout nothing is rescaled: to a denoising autoencoder a zero is a value that is
missing, and the others are what they are. Shapes: x (batch, ...) -> y (batch, ...).
Inference: y = x.
Vincent et al. 2010, "Stacked denoising autoencoders", JMLR 11.
"""

import keras
from keras import ops

from keras_dlparts.layers.reconstruction.corruption import Corruption

CASES = {
    "MaskingNoise": (
        {
            "arguments": {"rate": 0.3, "seed": 1},
            "input_shape": (4, 6),
            "still": {"rate": 0.0},
        },
    )
}


def masked(x, rate, u):
    """x with zeros where u < rate; u is the noise."""
    return x * ops.cast(u >= rate, x.dtype)


@keras.saving.register_keras_serializable("dlparts")
class MaskingNoise(Corruption):
    """Sets random elements to zero in training, without rescaling the others.

    The `corruption` of a denoising `models.Autoencoder`.

    Args:
        rate: Float, `0 <= rate < 1`. The chance of each element to be set to zero.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`.
        training: Boolean. Whether to corrupt or to pass the input on.

    Output shape: that of the input. Masks pass.

    Example:

    >>> import numpy as np
    >>> layer = MaskingNoise(0.5, seed=0)
    >>> y = np.asarray(layer(np.full((2, 50), 3.0, "float32"), training=True))
    >>> np.unique(y).tolist()
    [0.0, 3.0]
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs):
        super().__init__(rate, seed, **kwargs)

    def corrupted(self, inputs, u):
        return masked(inputs, self.rate, u)
