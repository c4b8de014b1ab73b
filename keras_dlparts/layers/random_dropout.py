"""Random dropout: dropout whose rate is drawn anew for every sample.

    rho_i ~ U(0, rate)                           one rate per sample i
    u_ij  ~ U(0, 1)                              one draw per element j
    y_ij  = x_ij [u_ij >= rho_i] / (1 - rho_i)   so that E[y] = x

With `per="batch"` one rho serves the whole batch; the paper leaves open which
is meant. Shapes: x (batch, ...) -> y (batch, ...). Inference: y = x.
Bouthillier et al. 2015, "Dropout as data augmentation", arXiv:1506.08700.
"""

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.rates import check_rate

CASES = {
    "RandomDropout": (
        {"arguments": {"rate": 0.5, "seed": 3}, "input_shape": (4, 8)},
        {
            "arguments": {"rate": 0.9, "per": "batch"},
            "input_shape": (2, 3, 4, 5),
        },
    )
}


def thin(x, rho, u):
    """Zero x where u < rho and rescale the rest. The noise is an argument."""
    kept = ops.cast(u >= rho, rho.dtype) / (1 - rho)
    return x * ops.cast(kept, x.dtype)


@keras.saving.register_keras_serializable("dlparts")
class RandomDropout(keras.layers.Layer):
    """Dropout whose rate is itself random, between 0 and `rate`.

    In training each sample i draws a rate `rho_i ~ U(0, rate)`, each of its
    elements is zeroed with probability `rho_i`, and what is left is divided by
    `1 - rho_i`, so the expectation is the input. In inference the input passes.

    Args:
        rate: Float, `0 <= rate < 1`. The highest drop rate; the mean one is half
            of it.
        per: `"sample"` or `"batch"`. What shares one drawn rate.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`.
        training: Boolean. Whether to drop or to pass the input on.

    Output shape: that of the input. Masks pass.

    Example:

    >>> import numpy as np
    >>> layer = RandomDropout(0.5, seed=0)
    >>> y = layer(np.ones((2, 1000), "float32"), training=True)
    >>> kept = [len(np.unique(row)) for row in np.asarray(y)]
    >>> kept  # zero, and one value 1 / (1 - rho_i) a sample
    [2, 2]

    Reference: Bouthillier et al. 2015, https://arxiv.org/abs/1506.08700
    """

    def __init__(self, rate, per="sample", seed=None, **kwargs):
        super().__init__(**kwargs)
        check_rate("rate", rate)
        if per not in ("sample", "batch"):
            raise ValueError(
                f"`per` must be 'sample' or 'batch'. Received: per={per!r}"
            )
        self.rate = rate
        self.per = per
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed) if rate else None
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        shape = ops.shape(inputs)
        rates = (shape[0] if self.per == "sample" else 1,) + (1,) * (len(shape) - 1)
        rho = keras.random.uniform(
            rates, 0, self.rate, dtype="float32", seed=self.seed_generator
        )
        u = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        return thin(inputs, rho, u)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "per": self.per,
            "seed": self.seed,
        }
