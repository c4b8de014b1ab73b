"""Any Boolean function in two layers: its disjunctive normal form.

    f(x) = OR over the rows r of the truth table with f(r) = 1 of [x = r]
    [x = r] = relu( sum_(j: r_j = 1) x_j - sum_(j: r_j = 0) x_j - |r| + 1 )

At most one row is met, so that OR is a sum. Where more rows are true than false, the
false ones are taken and the answer is 1 minus their sum: at most 2^(d-1) units.

Shapes: x (batch, d) of zeros and ones -> y (batch, 1), exactly 0 or 1.
"""

from collections.abc import Callable

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_dlparts.models.circuits.wiring import assembled
from keras_dlparts.support.checks import check_count

_MOST = 16


def boolean(table: ArrayLike | Callable, inputs: int | None = None) -> keras.Model:
    """A net with one hidden layer that computes a Boolean function exactly.

    It has a ReLU for each row of the truth table that is true, or for each one that is
    false if these are fewer, and `inputs` weights and a bias to each: at most
    `2^(inputs - 1)` units. Parity needs all of these; see `parity` for what depth
    saves. It is exact on zeros and ones; in between it is piecewise linear.

    Args:
        table: The `2^inputs` values of the function, 0 or 1, the first input being the
            highest binary digit of the row's number; or a function that is called with
            each row, a tuple of zeros and ones.
        inputs: Integer, how many inputs a function has, 16 at most. A table says it by
            its length.

    Returns:
        A `keras.Sequential` from `(batch, inputs)` to `(batch, 1)`.

    Example:

    >>> implies = boolean([1, 1, 0, 1])
    >>> implies.predict(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), verbose=0).ravel()
    array([1., 1., 0., 1.], dtype=float32)
    >>> boolean(lambda a, b, c: a + b + c >= 2, inputs=3).count_params()
    21
    """
    values, rows = _read(table, inputs)
    turned = 2 * values.sum() > len(values)
    kept = rows[values != turned]
    # A constant function has no such row, and Keras no layer without units.
    if not len(kept):
        kept = np.zeros((1, rows.shape[1]), int)
        parts = np.zeros((rows.shape[1], 1)), np.zeros(1)
    else:
        parts = (2.0 * kept - 1).T, 1.0 - kept.sum(axis=1)
    sign = -1.0 if turned else 1.0
    last = np.full((len(kept), 1), sign), np.full(1, float(turned))
    return assembled([(*parts, "relu"), (*last, "linear")], "boolean")


def rows_of(inputs):
    """All rows of zeros and ones, in the order of the numbers that they are."""
    return np.arange(2**inputs)[:, None] >> np.arange(inputs)[::-1] & 1


def _read(table, inputs):
    """(values, rows) of a truth table or function, checked."""
    if callable(table):
        if inputs is None:
            raise ValueError(
                "`inputs` must say how many inputs the function has. Received: None"
            )
        _check_inputs(inputs)
        rows = rows_of(inputs)
        values = np.array([table(*row) for row in rows.tolist()])
    else:
        values = np.asarray(table)
        count = int(values.size).bit_length() - 1
        if values.ndim != 1 or values.size < 2 or values.size != 2**count:
            raise ValueError(
                "`table` must have 2^inputs values in one row, a power of 2. Received: "
                f"shape {values.shape}"
            )
        if inputs not in (None, count):
            raise ValueError(
                "`inputs` must be what the table's length says, or None. Received: "
                f"inputs={inputs} and {values.size} values, of {count} inputs"
            )
        _check_inputs(count)
        rows = rows_of(count)
    if values.dtype == object or not np.isin(values, (0, 1)).all():
        raise ValueError(
            "`table` must have values that are bits, 0 or 1. Received: "
            f"{values[~np.isin(values, (0, 1))][:3]}"
        )
    return values.astype(bool), rows


def _check_inputs(inputs):
    check_count("inputs", inputs)
    if inputs > _MOST:
        raise ValueError(
            f"`inputs` must be at most {_MOST}: the table has 2^inputs rows. Received: "
            f"inputs={inputs}; compose the function of smaller ones, as `parity` and "
            "`alternating` do"
        )
