"""Stochastic depth: in training a branch is dropped for whole samples.

    u_i ~ U(0, 1)                                one draw per sample i
    y_i = x_i [u_i >= rate] / (1 - rate)         so that E[y] = x

Shapes: x (batch, ...) -> y (batch, ...). Inference: y = x. The paper instead
leaves training unscaled and multiplies by 1 - rate in inference, which is the same
up to the branch's scale.
Huang et al. 2016, "Deep networks with stochastic depth", arXiv:1603.09382.
"""

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.support.checks import check_rate

CASES = {
    "StochasticDepth": (
        {
            "arguments": {"rate": 0.5, "seed": 3},
            "input_shape": (16, 3),
            "still": {"rate": 0.0},
        },
        {"arguments": {"rate": 0.0}, "input_shape": (2, 3, 4, 5)},
    )
}


def drop_samples(x, rate, u):
    """Zero the samples where u < rate and rescale the rest. u is the noise."""
    kept = ops.cast(u >= rate, "float32") / (1 - rate)
    return x * ops.cast(kept, x.dtype)


@keras.saving.register_keras_serializable("dlparts")
class StochasticDepth(keras.layers.Layer):
    """Drops its whole input for random samples of a batch, and rescales the others.

    It stands at the end of a residual branch: where it drops, only the shortcut is
    left, and the net is shallower for that sample. In inference the input passes.

    Args:
        rate: Float, `0 <= rate < 1`. The chance that a sample is dropped.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`.
        training: Boolean. Whether to drop or to pass the input on.

    Output shape: that of the input. Masks pass.

    Example:

    >>> import numpy as np
    >>> layer = StochasticDepth(0.5, seed=0)
    >>> y = np.asarray(layer(np.ones((1000, 2), "float32"), training=True))
    >>> np.unique(y, axis=0).tolist()
    [[0.0, 0.0], [2.0, 2.0]]

    Reference: Huang et al. 2016, https://arxiv.org/abs/1603.09382
    """

    dropout_like = True  # keras_dlparts.monte_carlo samples it

    def __init__(self, rate: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        check_rate("rate", rate)
        self.rate = rate
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed) if rate else None
        self.supports_masking = True
        keras_private.build_at_init(self)

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        shape = ops.shape(inputs)
        u = keras.random.uniform(
            (shape[0],) + (1,) * (len(shape) - 1),
            dtype="float32",
            seed=self.seed_generator,
        )
        return drop_samples(inputs, self.rate, u)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
