"""What layers share that corrupt random elements of their input in training."""

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.support.checks import check_rate


class Corruption(keras.layers.Layer):
    """Base of layers that give `corrupted(inputs, u)`, u being uniform noise.

    Args:
        rate: Float, `0 <= rate < 1`. The chance of each element to be changed.
        seed: Optional integer, for draws that repeat.
    """

    dropout_like = True  # keras_dlparts.monte_carlo samples it

    def __init__(self, rate, seed, **kwargs):
        super().__init__(**kwargs)
        check_rate("rate", rate)
        self.rate = rate
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed) if rate else None
        self.supports_masking = True
        keras_private.build_at_init(self)

    def corrupted(self, inputs, u):
        """The inputs, changed where u is less than the rate."""
        raise NotImplementedError

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        u = keras.random.uniform(
            ops.shape(inputs), dtype="float32", seed=self.seed_generator
        )
        return self.corrupted(inputs, u)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
