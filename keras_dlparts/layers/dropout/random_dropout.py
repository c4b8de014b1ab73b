"""Random dropout: dropout whose rate is drawn anew for every sample.

    rho_i ~ U(0, rate)                           one rate per sample i
    u_ij  ~ U(0, 1)                              one draw per element j
    y_ij  = x_ij [u_ij >= rho_i] / (1 - rho_i)   so that E[y] = x

With `per="batch"` one rho serves the whole batch; the paper leaves open which
is meant. With `noise_shape` u has that shape and broadcasts: elements along an axis
of size 1 are dropped together. Shapes: x (batch, ...) -> y (batch, ...), any rank.
Inference: y = x.
Bouthillier et al. 2015, "Dropout as data augmentation", arXiv:1506.08700.
"""

from collections.abc import Sequence
from typing import Literal

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.support.checks import check_rate

CASES = {
    "RandomDropout": (
        {
            "arguments": {"rate": 0.5, "seed": 3},
            "input_shape": (4, 8),
            "still": {"rate": 0.0},
        },
        {
            "arguments": {"rate": 0.9, "per": "batch"},
            "input_shape": (2, 3, 4, 5),
            "still": {"rate": 0.0},
        },
        {
            "arguments": {"rate": 0.5, "noise_shape": [None, 1, 6]},
            "input_shape": (3, 4, 6),
            "still": {"rate": 0.0},
        },
    )
}


def thin(x, rho, u):
    """Zero x where u < rho and rescale the rest. The noise is an argument."""
    kept = ops.cast(u >= rho, rho.dtype) / (1 - rho)
    return x * ops.cast(kept, x.dtype)


def check_noise_shape(noise_shape):
    """A noise shape as a list of sizes and Nones, or None; raises for all else."""
    if noise_shape is None:
        return None
    if not isinstance(noise_shape, list | tuple) or any(
        type(size) not in (int, type(None)) for size in noise_shape
    ):
        raise TypeError(
            "`noise_shape` must list an integer or None for each axis. "
            f"Received: noise_shape={noise_shape!r}"
        )
    if any(size is not None and size < 1 for size in noise_shape):
        raise ValueError(
            "`noise_shape` must hold sizes of at least 1: 1 to drop an axis as a "
            f"whole, None for the input's size. Received: noise_shape={noise_shape!r}"
        )
    return [*noise_shape]


def drawn_shape(noise_shape, shape):
    """The shape of the draws for an input of a shape whose batch may be unknown."""
    if noise_shape is None:
        return shape
    fits = len(noise_shape) == len(shape) and all(
        size in (None, 1) or not isinstance(real, int) or size == real
        for size, real in zip(noise_shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            "`noise_shape` must have an entry for each axis of the input: 1, None or "
            f"its size. Received: noise_shape={noise_shape}, input shape {shape}"
        )
    return tuple(
        real if size is None else size
        for size, real in zip(noise_shape, shape, strict=True)
    )


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
        noise_shape: Optional list with an entry for each axis, the batch's included,
            as that of `keras.layers.Dropout`: 1 where elements are dropped together,
            None (or the size) where each has a draw of its own. For sequences
            `[None, 1, None]` drops a feature at all times.
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

    dropout_like = True  # keras_dlparts.monte_carlo samples it

    def __init__(
        self,
        rate: float,
        per: Literal["sample", "batch"] = "sample",
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_rate("rate", rate)
        if per not in ("sample", "batch"):
            raise ValueError(
                f"`per` must be 'sample' or 'batch'. Received: per={per!r}"
            )
        self.rate = rate
        self.per = per
        self.noise_shape = check_noise_shape(noise_shape)
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed) if rate else None
        self.supports_masking = True
        keras_private.build_at_init(self)

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        shape = ops.shape(inputs)
        rates = (shape[0] if self.per == "sample" else 1,) + (1,) * (len(shape) - 1)
        rho = keras.random.uniform(
            rates, 0, self.rate, dtype="float32", seed=self.seed_generator
        )
        u = keras.random.uniform(
            drawn_shape(self.noise_shape, shape),
            dtype="float32",
            seed=self.seed_generator,
        )
        return thin(inputs, rho, u)

    def compute_output_shape(self, input_shape):
        drawn_shape(self.noise_shape, tuple(input_shape))  # told before training
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "per": self.per,
            "noise_shape": self.noise_shape,
            "seed": self.seed,
        }
