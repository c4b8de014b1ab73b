"""Convolutions that begin as one orthogonal matrix at the centre of their window.

    K[b] = g O  at the centre b of the window,  0 elsewhere
    O^T O = I   if there are as many inputs as outputs or more, else O O^T = I
    g^2 = s_w^2 at the edge of chaos of the activation, see `Critical`

At the start each position is mapped by itself, so a deep plain convolution net has a
Jacobian like that of a dense orthogonal net. The theory pads in a circle; as only the
centre weighs, the padding makes no difference at the start. Shapes: a kernel
(*window, inputs, outputs); without a window it is an orthogonal matrix.
Xiao et al. 2018, "Dynamical isometry and a mean field theory of CNNs: how to train
10,000-layer vanilla convolutional neural networks", arXiv:1806.05393.
"""

import math
from collections.abc import Callable

import keras
from keras import ops

from keras_dlparts.initializers.gaussian_means import critical, tabulated
from keras_dlparts.support.checks import check_number

CASES = {"DeltaOrthogonal": ({"arguments": {"seed": 0}},)}


def at_centre(matrix, window):
    """A kernel of zeros with a matrix at the centre of its window.

    The centre of an even one is where `padding="same"` places it.
    """
    pads = [((size - 1) // 2, size // 2) for size in window]
    kernel = ops.reshape(matrix, (*[1] * len(window), *matrix.shape))
    return ops.pad(kernel, [*pads, (0, 0), (0, 0)])


@keras.saving.register_keras_serializable("dlparts")
class DeltaOrthogonal(keras.initializers.Initializer):
    """Starts a convolution as an orthogonal matrix at the centre of its window.

    For deep plain convolution nets. The gain is the one that the theory wants: the root
    of the critical weight variance for the activation behind the layer (1 for tanh
    without biases). With ReLU no gain makes a deep net isometric. A layer keeps all of
    its input's length if it has at least as many outputs as inputs.

    Args:
        activation: A function of Keras or its name, which works on each element.
        bias_variance: Float, `>= 0`. The variance of the biases.
        gain: Optional float, `> 0`, to use instead.
        seed: Optional integer.

    Example:

    >>> kernel = DeltaOrthogonal("tanh", seed=0)((3, 3, 4, 4))
    >>> centre = kernel[1, 1]
    >>> bool(ops.max(ops.abs(centre @ ops.transpose(centre) - ops.eye(4))) < 1e-5)
    True

    Reference: Xiao et al. 2018, https://arxiv.org/abs/1806.05393
    """

    def __init__(
        self,
        activation: str | Callable | None = "tanh",
        bias_variance: float = 0.0,
        gain: float | None = None,
        seed: int | None = None,
    ):
        check_number("bias_variance", bias_variance, least=0)
        if gain is not None:
            check_number("gain", gain, above=0)
        self.activation = keras.activations.get(activation)
        self.bias_variance = bias_variance
        self.gain = gain
        self.seed = seed
        if gain is None:
            gain = math.sqrt(critical(tabulated(self.activation), bias_variance)[0])
        self._draw = keras.initializers.Orthogonal(gain, seed)

    def __call__(self, shape, dtype=None):
        if len(shape) < 2:
            raise ValueError(
                "A kernel has inputs and outputs on its last two axes. "
                f"Received: shape={tuple(shape)}"
            )
        *window, inputs, outputs = shape
        return at_centre(self._draw((inputs, outputs), dtype), window)

    def get_config(self):
        return {
            "activation": keras.activations.serialize(self.activation),
            "bias_variance": self.bias_variance,
            "gain": self.gain,
            "seed": self.seed,
        }
