"""A sawtooth by composition: each layer doubles the teeth.

    g(x) = 2 relu(x) - 4 relu(x - 1/2)       on [0, 1]: up to 1 at 1/2, and down to 0
    g composed L times                       2^(L-1) teeth

A net of one hidden layer has at most one piece more than it has units, so it needs
about 2^L of them. Telgarsky 2016, "Benefits of depth in neural networks",
arXiv:1602.04485.

Shapes: x (batch, 1) in [0, 1] -> y (batch, 1) in [0, 1].
"""

from typing import Literal

import keras

from keras_dlparts.models.circuits.wiring import Wiring, check_digits
from keras_dlparts.support.checks import check_count


def sawtooth(
    depth: int, dtype: Literal["float32", "float64"] = "float32"
) -> keras.Model:
    """A sawtooth of `2^(depth - 1)` teeth on [0, 1], in `depth` layers of two ReLUs.

    It has `2 depth` units and about `5 depth` weights, and is exact for every number in
    [0, 1] that the dtype holds: each layer doubles a number or its distance to 1, and
    loses no digit. Float32 has 24, so there a tooth of the 24th layer has a single
    number at its tip.

    Args:
        depth: Integer, `>= 1`; at most 24 in float32, 53 in float64.
        dtype: `"float32"` or `"float64"`.

    Returns:
        A `keras.Sequential` from `(batch, 1)` to `(batch, 1)`.

    Example:

    >>> import numpy as np
    >>> y = sawtooth(3).predict(np.arange(9)[:, None] / 8, verbose=0)
    >>> y.ravel()
    array([0., 1., 0., 1., 0., 1., 0., 1., 0.], dtype=float32)
    """
    check_count("depth", depth)
    check_digits("depth", depth, dtype)
    net = Wiring(1)
    (x,) = net.units
    for _ in range(depth):
        a, b = net.layer("relu", [x, x - 0.5])
        x = 2 * a - 4 * b
    return net.model([x], "sawtooth", dtype)
