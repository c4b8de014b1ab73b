"""Parity as a tree of exclusive ors.

    a xor b = relu(a + b) - 2 relu(a + b - 1)          for a, b in {0, 1}
    parity(x_1 ... x_d) = parity of the xor of each pair of neighbours

d - 1 exclusive ors of two ReLUs each, ceil(log2 d) layers of them. An input without a
neighbour passes a layer by a ReLU of its own, which leaves a bit as it is. A machine
with one layer of Gaussians of fixed width needs 2^(d-1) coefficients at least
(Bengio, Delalleau, Le Roux 2006, "The curse of highly variable functions for local
kernel machines").

Shapes: x (batch, d) of zeros and ones -> y (batch, 1), exactly 0 or 1.
"""

import keras

from keras_dlparts.models.circuits.wiring import Wiring
from keras_dlparts.support.checks import check_count


def parity(inputs: int) -> keras.Model:
    """A net that says whether the number of ones among its inputs is odd.

    It has `2 (inputs - 1)` ReLUs, and one more in each layer where an input has no
    neighbour, in `ceil(log2 inputs)` hidden layers, with about `7 inputs` weights that
    are not 0. It is exact on zeros and ones. `boolean` computes parity with one hidden
    layer and `2^(inputs - 1)` units.

    Args:
        inputs: Integer, `>= 2`.

    Returns:
        A `keras.Sequential` from `(batch, inputs)` to `(batch, 1)`.

    Example:

    >>> import numpy as np
    >>> parity(5).predict(np.array([[1, 0, 1, 1, 0], [1, 0, 1, 1, 1]]), verbose=0)
    array([[1.], [0.]], dtype=float32)
    """
    check_count("inputs", inputs, 2)
    net = Wiring(inputs)
    bits = net.units
    while len(bits) > 1:
        paired = len(bits) // 2 * 2
        sums = [bits[i] + bits[i + 1] for i in range(0, paired, 2)]
        forms = [form for both in sums for form in (both, both - 1)]
        h = net.layer("relu", forms + bits[paired:])
        bits = [h[i] - 2 * h[i + 1] for i in range(0, paired, 2)] + h[paired:]
    return net.model(bits, "parity")
