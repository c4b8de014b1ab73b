"""Bits of a number by a deep narrow net: bit extraction.

    b = step(x - 1/2),   x <- 2 x - b                  one binary digit in two layers
    step(u) = relu(1 - relu(-u / gap))                 exact for u <= -gap and u >= 0

For x = 0.b_1 b_2 ... b_n in binary, so x = k / 2^n, the number before step j is a
multiple of 2^-(n-j+1), and with this as its gap every step is exact. (The difference
relu(u / gap + 1) - relu(u / gap) is a step in one layer, and cancels in float32.)
Bartlett, Maiorov, Meir 1998, "Almost linear VC dimension bounds for piecewise
polynomial networks"; Lu, Shen, Yang, Zhang 2021, "Deep network approximation for smooth
functions", arXiv:2001.03040.
"""

from typing import Literal

import keras

from keras_dlparts.models.circuits.wiring import Wiring, check_digits
from keras_dlparts.support.checks import check_count


def bits(count: int, dtype: Literal["float32", "float64"] = "float32") -> keras.Model:
    """A net from a number in [0, 1) to its first binary digits.

    It has `2 count` hidden layers of ReLUs, of `count + 1` units at most: one for the
    step, one for what is left, and one for each digit found before. It is exact for the
    numbers `k / 2^count`; others must be rounded down to these first.

    Args:
        count: Integer, `>= 1`; at most 24 in float32, 53 in float64.
        dtype: `"float32"` or `"float64"`.

    Returns:
        A `keras.Sequential` from `(batch, 1)` to `(batch, count)`, highest digit first.

    Example:

    >>> import numpy as np
    >>> bits(4).predict(np.array([[11 / 16]]), verbose=0)
    array([[1., 0., 1., 1.]], dtype=float32)
    """
    check_count("count", count)
    check_digits("count", count, dtype)
    net = Wiring(1)
    x, found = net.units[0], []
    for j in range(count):
        below, x, *found = net.layer("relu", [_below(x, count - j), x, *found])
        bit, x, *found = net.layer("relu", [1 - below, x, *found])
        found, x = [*found, bit], 2 * x - bit
    return net.model(found, "bits", dtype)


def bit_sum(
    count: int, dtype: Literal["float32", "float64"] = "float32"
) -> keras.Model:
    """A net from (x, l) to the sum of the first l binary digits of x.

    The lemma that lets one weight hold many values: a net of fixed width reads digit
    after digit, and adds those that it was asked for. It has `2 count` hidden layers of
    at most 5 ReLUs. It is exact for x = `k / 2^count` and l = 0, 1, ... `count`.

    Args:
        count: Integer, `>= 1`. The digits of x; at most 24 in float32, 53 in float64.
        dtype: `"float32"` or `"float64"`.

    Returns:
        A `keras.Sequential` from `(batch, 2)`, of x and l, to `(batch, 1)`.

    Example:

    >>> import numpy as np
    >>> model = bit_sum(4)  # 11 / 16 is 0.1011 in binary
    >>> model.predict(np.array([[11 / 16, 2], [11 / 16, 4]]), verbose=0)
    array([[1.], [3.]], dtype=float32)
    """
    check_count("count", count)
    check_digits("count", count, dtype)
    net = Wiring(2)
    x, ask = net.units
    total = 0 * x
    for j in range(count):
        below, late, x, ask, total = net.layer(
            "relu", [_below(x, count - j), j + 1 - ask, x, ask, total]
        )
        bit, added, x, ask, total = net.layer(
            "relu", [1 - below, 1 - below - late, x, ask, total]
        )
        x, total = 2 * x - bit, total + added
    return net.model([total], "bit_sum", dtype)


def _below(x, digits):
    """A form that is at most 0 for x >= 1/2 and at least 1 for a smaller x.

    x has so many digits at most.
    """
    return float(2**digits) * (0.5 - x)
