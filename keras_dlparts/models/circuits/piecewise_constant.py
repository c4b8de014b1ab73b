"""Steps: a piecewise constant function as one hidden layer.

    s_i(x) = min(max((x - e_i) / gap + 1, 0), 1)      0 up to e_i - gap, 1 from e_i on
    y(x)   = v_0 + sum_i (v_i - v_(i-1)) s_i(x)

A unit that is cut at 0 and 1 is the difference of two ReLUs. A continuous unit cannot
jump: between e_i - gap and e_i it climbs, and the step is exact outside of such gaps
only. n steps bring a function with the slope c on [0, 1] within c / (2 n + 2).

Shapes: x (batch, 1) -> y (batch, 1).
"""

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_dlparts.models.circuits.wiring import assembled, check_dtype
from keras_dlparts.support.checks import check_number


def piecewise_constant(
    edges: ArrayLike, values: ArrayLike, gap: float = 1e-3
) -> keras.Model:
    """A net with one hidden layer that is constant between edges.

    It has a unit for each edge, with one weight, a bias and an output weight. It gives
    the i-th value from an edge on up to a `gap` before the next one, to a rounding of
    the sums of values; inside of a gap it climbs from one value to the next.

    Args:
        edges: Numbers in ascending order, more than `gap` apart.
        values: One more than there are edges: what to give before the first, between,
            and after the last.
        gap: Float, `> 0`. Less than what float32 resolves around an edge is refused.

    Returns:
        A `keras.Sequential` from `(batch, 1)` to `(batch, 1)`.

    Example:

    >>> model = piecewise_constant([0.25, 0.5], [1, 3, 2])
    >>> model.predict(np.array([[0.2], [0.25], [0.4], [0.5]]), verbose=0).ravel()
    array([1., 3., 3., 2.], dtype=float32)
    """
    e, v = np.asarray(edges, "float64"), np.asarray(values, "float64")
    check_number("gap", gap, above=0)
    if e.ndim != 1 or v.ndim != 1 or not len(e) or len(v) != len(e) + 1:
        raise ValueError(
            "`values` must have one number more than `edges`, which has at least one. "
            f"Received: shapes {v.shape} and {e.shape}"
        )
    if not (np.isfinite(e).all() and np.isfinite(v).all()):
        raise ValueError(
            "`edges` and `values` must be finite. Received: nan or infinity"
        )
    if not (np.diff(e) > gap).all():
        raise ValueError(
            "`edges` must ascend by more than `gap` each. Received: "
            f"gap={gap} and edges {np.diff(e).min():g} apart; give a smaller gap"
        )
    least = 8 * np.spacing(np.abs(e).astype("float32")).max()
    if gap < least:
        raise ValueError(
            "`gap` must be at least eight times the distance of float32 numbers around "
            f"an edge, {least:g} here. Received: gap={gap}; give a larger one"
        )
    check_dtype("float32")
    # Halfway through its last eighth a unit is cut already: so an edge that float32
    # rounds belongs to what begins there.
    slope = 1.125 / gap
    layers = [
        (np.full((1, len(e)), slope), 1.0625 - e * slope, "clip"),
        (np.diff(v)[:, None], v[:1], "linear"),
    ]
    return assembled(layers, "piecewise_constant")
