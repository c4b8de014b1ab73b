"""Hastad's f_k: a tree of AND and OR by turns, for which one layer less costs much.

    level 1 (bottom)   OR  of fan_in inputs each
    level 2            AND of fan_in^2 gates each
    level 3            OR  of fan_in^2 gates each     ... by turns ...
    level k (top)      of fan_in gates
    OR  = min(1, sum of inputs)     AND = max(0, sum of inputs - their number + 1)

All weights are 1: the circuit is monotone. It has fan_in^(2k - 2) inputs, each used
once. With k - 1 levels of monotone threshold gates the same function needs
2^(c fan_in) gates (Hastad & Goldmann 1991, "On the power of small-depth threshold
circuits"; Hastad 1986, "Computational limitations of small-depth circuits").

Shapes: x (batch, fan_in^(2k - 2)) of zeros and ones -> y (batch, 1), exactly 0 or 1.
"""

import keras
import numpy as np

from keras_dlparts.models.circuits.wiring import assembled
from keras_dlparts.support.checks import check_count

_MOST_INPUTS = 4096


def alternating(levels: int, fan_in: int) -> keras.Model:
    """The net of f_k: `levels` layers of OR and AND gates by turns, as a tree.

    It has `levels` layers of gates, each gate one unit `min(max(x, 0), 1)` with weights
    of 1 only, and each input and gate is used once: fewer than `2 inputs` weights. It
    is exact on zeros and ones.

    Args:
        levels: Integer, `>= 2`: k.
        fan_in: Integer, `>= 2`. Of the bottom and the top gates; the others have its
            square. There may be 4096 inputs, `fan_in^(2 levels - 2)`, at most.

    Returns:
        A `keras.Sequential` from `(batch, fan_in^(2 levels - 2))` to `(batch, 1)`.

    Example:

    >>> model = alternating(2, 2)  # (a or b) and (c or d)
    >>> model.predict(np.array([[0, 1, 1, 0], [1, 1, 0, 0]]), verbose=0)
    array([[1.], [0.]], dtype=float32)
    """
    check_count("levels", levels, 2)
    check_count("fan_in", fan_in, 2)
    inputs = fan_in ** (2 * levels - 2)
    if inputs > _MOST_INPUTS:
        raise ValueError(
            f"There may be at most {_MOST_INPUTS} inputs, fan_in^(2 levels - 2). "
            f"Received: levels={levels}, fan_in={fan_in}, so {inputs}; give fewer "
            "levels or a smaller fan_in"
        )
    layers, left = [], inputs
    for level, fan in enumerate(_fans(levels, fan_in), start=1):
        left //= fan
        kernel = np.kron(np.eye(left), np.ones((fan, 1)))
        bias = np.zeros(left) if level % 2 else np.full(left, 1.0 - fan)
        layers.append((kernel, bias, "clip"))
    return assembled(layers, "alternating")


def _fans(levels, fan_in):
    return [fan_in, *[fan_in**2] * (levels - 2), fan_in]


def evaluated(x, levels, fan_in):
    """f_k of rows of truth values, without a net."""
    for level, fan in enumerate(_fans(levels, fan_in), start=1):
        x = x.reshape(len(x), -1, fan)
        x = x.any(axis=-1) if level % 2 else x.all(axis=-1)
    return x[:, 0]
