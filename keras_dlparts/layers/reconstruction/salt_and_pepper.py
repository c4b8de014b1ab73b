"""Salt-and-pepper noise: random elements become the least or the greatest value.

    u_ij ~ U(0, 1)                               one draw an element
    y_ij = low    where u_ij < rate / 2
           high   where rate / 2 <= u_ij < rate
           x_ij   elsewhere

Shapes: x (batch, ...) -> y (batch, ...). Inference: y = x.
Vincent et al. 2010, "Stacked denoising autoencoders", JMLR 11.
"""

import keras
from keras import ops

from keras_dlparts.layers.reconstruction.corruption import Corruption
from keras_dlparts.support.checks import check_number

CASES = {
    "SaltAndPepper": (
        {
            "arguments": {"rate": 0.3, "seed": 1},
            "input_shape": (4, 6),
            "still": {"rate": 0.0},
        },
    )
}


def peppered(x, rate, low, high, u):
    """x with `low` or `high` where u < rate; u is the noise."""
    extreme = ops.where(u < rate / 2, low, high)
    return ops.where(u < rate, ops.cast(extreme, x.dtype), x)


@keras.saving.register_keras_serializable("dlparts")
class SaltAndPepper(Corruption):
    """Sets random elements to one of two extreme values in training.

    The `corruption` of a denoising `models.Autoencoder`.

    Args:
        rate: Float, `0 <= rate < 1`. The chance of each element to be changed.
        low: Float. The value of one half of those.
        high: Float. The value of the other half.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`.
        training: Boolean. Whether to corrupt or to pass the input on.

    Output shape: that of the input. Masks pass.

    Example:

    >>> import numpy as np
    >>> layer = SaltAndPepper(0.5, seed=0)
    >>> y = np.asarray(layer(np.full((2, 50), 0.5, "float32"), training=True))
    >>> np.unique(y).tolist()
    [0.0, 0.5, 1.0]
    """

    def __init__(
        self,
        rate: float,
        low: float = 0.0,
        high: float = 1.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(rate, seed, **kwargs)
        check_number("low", low)
        check_number("high", high, above=low)
        self.low = low
        self.high = high

    def corrupted(self, inputs, u):
        return peppered(inputs, self.rate, self.low, self.high, u)

    def get_config(self):
        return {**super().get_config(), "low": self.low, "high": self.high}
