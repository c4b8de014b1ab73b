"""Sparse start: each unit listens to a few inputs only, however many there are.

    W_ij ~ N(0, s^2)   for k inputs i of unit j, drawn without repetition;  0 elsewhere

The variance of a pre-activation is k s^2 times that of the inputs, whatever the width,
and units begin different from each other. Shapes: any kernel's, with the inputs of a
unit on all axes but the last. Martens 2010, "Deep learning via Hessian-free
optimization", with k = 15 and s = 1.
"""

import keras
from keras import ops

from keras_dlparts.support.checks import check_count, check_number

CASES = {"SparseInit": ({"arguments": {"connections": 2, "seed": 0}},)}


def keep_lowest(values, u, k):
    """The values at the k lowest u of each column, 0 elsewhere. u is the noise."""
    rank = ops.argsort(ops.argsort(u, axis=0), axis=0)
    return ops.where(rank < k, values, ops.zeros_like(values))


@keras.saving.register_keras_serializable("dlparts")
class SparseInit(keras.initializers.Initializer):
    """Gives each unit a fixed number of inputs that are not 0.

    It is a start, not a constraint: training moves the zeros too. The layer that the
    paper trained with it has tanh units.

    Args:
        connections: Integer, `>= 1`. How many inputs of a unit are not 0; all of them
            if there are fewer.
        stddev: Float, `> 0`. The deviation of the weights that are not 0.
        seed: Optional integer.

    Example:

    >>> kernel = SparseInit(connections=3, seed=0)((100, 4))
    >>> [int(n) for n in ops.sum(ops.cast(kernel != 0, "int32"), axis=0)]
    [3, 3, 3, 3]
    """

    def __init__(
        self, connections: int = 15, stddev: float = 1.0, seed: int | None = None
    ):
        self.connections = check_count("connections", connections)
        self.stddev = check_number("stddev", stddev, above=0)
        self.seed = seed
        self._normal = keras.initializers.RandomNormal(0.0, stddev, seed)
        # The choice of inputs must not follow from the weights: another seed.
        other = None if seed is None else seed + 1
        self._uniform = keras.initializers.RandomUniform(0.0, 1.0, other)

    def __call__(self, shape, dtype=None):
        values = self._normal(shape, dtype)
        columns = ops.reshape(values, (-1, shape[-1]))
        u = self._uniform(columns.shape, "float32")
        return ops.reshape(keep_lowest(columns, u, self.connections), shape)

    def get_config(self):
        return {
            "connections": self.connections,
            "stddev": self.stddev,
            "seed": self.seed,
        }
