"""A product of sums: few elements in two layers, very many terms when expanded.

    y = prod_i sum_j a_ij x_j            n sums, n m weights, n - 1 products
      = sum over (j_1 ... j_n) of a_(1 j_1) ... a_(n j_n)  x_(j_1) ... x_(j_n)
                                         m^n terms of n factors each

Shapes: x (batch, m) -> y (batch, 1). Not exact: n roundings, relative to y at most
(n + m) 2^-24 where the sums do not cancel.
Delalleau & Bengio 2011, "Shallow vs. deep sum-product networks".
"""

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_dlparts.support.checks import check_flag

_MOST_TERMS = 2**16


def product_of_sums(weights: ArrayLike, expanded: bool = False) -> keras.Model:
    """The net of `prod_i sum_j weights[i][j] x_j`, as a product or expanded.

    With n rows of m weights the product has n units, one sum each, and n m weights.
    The expanded form has a unit and a weight for each of `m^n` terms.

    Args:
        weights: The matrix of n rows and m columns, or nested lists.
        expanded: Whether to build the sum of all terms, 65536 at most.

    Returns:
        A functional `keras.Model` from `(batch, m)` to `(batch, 1)`.

    Example:

    >>> model = product_of_sums([[1, 2], [3, -1]])  # (x + 2 y) (3 x - y)
    >>> model.predict(np.array([[1.0, 1.0]]), verbose=0)
    array([[6.]], dtype=float32)
    """
    check_flag("expanded", expanded)
    a = np.asarray(weights, "float64")
    if a.ndim != 2 or not a.size or not np.isfinite(a).all():
        raise ValueError(
            "`weights` must be a matrix of finite numbers, a row for each factor. "
            f"Received: shape {a.shape}"
        )
    n, m = a.shape
    x = keras.Input((m,), dtype="float32")
    if not expanded:
        kernel, sums = a.T, keras.layers.Dense(n, use_bias=False, dtype="float32")
        y = ops.prod(sums(x), axis=-1, keepdims=True)
    else:
        if m**n > _MOST_TERMS:
            raise ValueError(
                f"The expanded form may have {_MOST_TERMS} terms at most. Received: "
                f"{m}^{n}; the form with expanded=False needs {n * m} weights"
            )
        chosen = np.indices((m,) * n).reshape(n, -1)
        kernel = np.prod([a[i, j] for i, j in enumerate(chosen)], axis=0)[:, None]
        sums = keras.layers.Dense(1, use_bias=False, dtype="float32")
        y = sums(ops.prod(ops.take(x, chosen.T.tolist(), axis=-1), axis=-1))
    model = keras.Model(x, y, name="product_of_sums")
    sums.set_weights([kernel])
    return model
