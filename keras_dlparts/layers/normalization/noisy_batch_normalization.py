"""Noisy batch normalisation: batch normalisation, and then a shift that it was to cure.

    a_ij  = batch normalisation of x, sample i, feature j
    mu_j  ~ U(-shift, shift)      sigma_j ~ U(1, stretch)       new at each step
    m_ij  ~ U(-jitter, jitter)    s_ij    ~ N(0, jitter^2)      new for each element
    y_ij  = (sigma_j + s_ij) a_ij + mu_j + m_ij

So in training the distribution of every feature moves from step to step, more than
it would without normalisation. Shapes: x (batch, ...) -> y, the same shape. Inference:
y = (1 + stretch) / 2 * a, the mean over the noise, a from the moving averages.
Santurkar et al. 2018, "How does batch normalization help optimization?",
arXiv:1805.11604: nets train as well with that noise as with plain batch normalisation.
"""

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.support.checks import check_number

_NO_NOISE = {"shift": 0.0, "stretch": 1.0, "jitter": 0.0}
CASES = {
    "NoisyBatchNormalization": (
        {
            "arguments": {"seed": 3},
            "input_shape": (8, 4),
            "still": _NO_NOISE,
            "per_share": "the statistics are those of the replica's share",
        },
        {
            "arguments": {"shift": 0.0, "stretch": 2.0, "jitter": 0.0, "axis": 1},
            "input_shape": (4, 3, 5),
            "still": _NO_NOISE,
            "per_share": "the statistics are those of the replica's share",
        },
    )
}


def disturb(a, mu, sigma, m, s):
    """(sigma + s) a + mu + m; the noise is an argument."""
    return (sigma + s) * a + mu + m


@keras.saving.register_keras_serializable("dlparts")
class NoisyBatchNormalization(keras.layers.Layer):
    """Batch normalisation whose output is shifted and stretched at random.

    A layer for an experiment: it brings the shift of a layer's inputs back that
    batch normalisation takes away, to see whether training minds. Put it in the place
    of `keras.layers.BatchNormalization`. `fold` leaves it alone, `recalibrate` sets
    its moving averages.

    Each replica of a strategy takes the statistics of its share of the batch and draws
    other noise; the moving averages are the mean over replicas.

    Args:
        shift: Float, `>= 0`. A feature's mean is drawn from `(-shift, shift)`.
        stretch: Float, `>= 1`. A feature's scale is drawn from `(1, stretch)`.
        jitter: Float, `>= 0`. How much mean and scale differ from element to element.
        axis: Integer. The axis of the features.
        momentum: Float. Of the moving averages.
        epsilon: Float. Added to the variance.
        center: Whether to add a learnt beta before the noise.
        scale: Whether to multiply by a learnt gamma before the noise.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`.
        training: Boolean. Whether to use the batch's statistics and draw noise.
        mask: Optional boolean tensor; masked positions do not count.

    Output shape: that of the input. Masks pass.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(5, 3, (1000, 2))
    >>> y = NoisyBatchNormalization(shift=2.0, seed=1)(x, training=True)
    >>> mean = keras.ops.convert_to_numpy(y).mean(axis=0)
    >>> bool((abs(mean) > 0.1).all() and (abs(mean) < 2.1).all())
    True

    Reference: Santurkar et al. 2018, https://arxiv.org/abs/1805.11604
    """

    def __init__(
        self,
        shift: float = 0.5,
        stretch: float = 1.25,
        jitter: float = 0.1,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_number("shift", shift, least=0)
        check_number("stretch", stretch, least=1)
        check_number("jitter", jitter, least=0)
        self.shift = shift
        self.stretch = stretch
        self.jitter = jitter
        self.axis = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed)
        # An attribute and not the base class: `fold` and others that look for
        # BatchNormalization would treat this layer as one without noise.
        self.norm = keras.layers.BatchNormalization(
            axis=axis,
            momentum=momentum,
            epsilon=epsilon,
            center=center,
            scale=scale,
            dtype=self.dtype_policy,
        )
        self.supports_masking = True

    def build(self, input_shape):
        self.norm.build(input_shape)

    def call(self, inputs, training=False, mask=None):
        a = self.norm(inputs, training=training, mask=mask)
        if not training or not self.trainable:
            return a * ((1 + self.stretch) / 2)
        shape = ops.shape(a)
        features = [1] * len(shape)
        features[self.axis] = shape[self.axis]

        def uniform(shape, low, high):
            return keras.random.uniform(
                shape, low, high, dtype="float32", seed=self.seed_generator
            )

        mu = uniform(features, -self.shift, self.shift)
        sigma = uniform(features, 1.0, self.stretch)
        m = uniform(shape, -self.jitter, self.jitter)
        s = self.jitter * keras.random.normal(
            shape, dtype="float32", seed=self.seed_generator
        )
        noise = [ops.cast(draw, a.dtype) for draw in (mu, sigma, m, s)]
        return disturb(a, *noise)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "shift": self.shift,
            "stretch": self.stretch,
            "jitter": self.jitter,
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "seed": self.seed,
        }
