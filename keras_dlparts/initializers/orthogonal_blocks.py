"""Orthogonal blocks: a kernel for several gates, each of which keeps lengths.

    W = gain [Q_1, Q_2, ...]      Q_i (n, n) orthogonal, or all of them the identity

Recurrent layers keep the kernels of all gates side by side, (n, 4 n) of an LSTM. Keras'
`Orthogonal` makes such a matrix orthogonal as a whole: what each gate's part does to a
state is a random contraction then, of about half of its length. Shapes: (n, any) with
the last block cut off where it does not fit; with more axes, n is the product of all
but the last. Le, Jaitly & Hinton 2015, "A simple way to initialize recurrent networks
of rectified linear units", arXiv:1504.00941, is `identity=True`.
"""

import math

import keras
from keras import ops

from keras_dlparts.support.checks import check_flag, check_number

CASES = {"OrthogonalBlocks": ({"arguments": {"gain": 0.5, "seed": 0}},)}


@keras.saving.register_keras_serializable("dlparts")
class OrthogonalBlocks(keras.initializers.Initializer):
    """Makes the part of each gate of a recurrent kernel orthogonal by itself.

    For the `recurrent_kernel` of recurrent layers; of a square kernel it is Keras'
    `Orthogonal`.

    Args:
        gain: Float, `> 0`. What each block multiplies lengths by.
        identity: Whether each block is the identity, times `gain`, instead of drawn.
        seed: Optional integer.

    Example:

    >>> layer = keras.layers.LSTM(8, recurrent_initializer=OrthogonalBlocks())
    >>> layer.build((None, None, 3))
    >>> forget = layer.cell.recurrent_kernel[:, 8:16]
    >>> product = ops.matmul(ops.transpose(forget), forget)
    >>> bool(ops.all(ops.abs(product - ops.eye(8)) < 1e-5))
    True

    Reference: Le et al. 2015, https://arxiv.org/abs/1504.00941
    """

    def __init__(
        self, gain: float = 1.0, identity: bool = False, seed: int | None = None
    ):
        self.gain = check_number("gain", gain, above=0)
        check_flag("identity", identity)
        self.identity = identity
        self.seed = seed

    def __call__(self, shape, dtype=None):
        if len(shape) < 2:
            raise ValueError(
                "Blocks are of a kernel with two axes at least. "
                f"Received: shape={tuple(shape)}"
            )
        n, columns = math.prod(shape[:-1]), shape[-1]
        blocks = -(-columns // n)
        if self.identity:
            made = [self.gain * ops.eye(n, dtype=dtype)] * blocks
        else:
            made = [
                keras.initializers.Orthogonal(self.gain, self._seed(i))((n, n), dtype)
                for i in range(blocks)
            ]
        return ops.reshape(ops.concatenate(made, axis=1)[:, :columns], shape)

    def _seed(self, i):
        return None if self.seed is None else self.seed + i

    def get_config(self):
        return {"gain": self.gain, "identity": self.identity, "seed": self.seed}
