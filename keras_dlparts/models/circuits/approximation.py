"""A continuous function by a floor-ReLU net whose error falls as (N L)^(-2/d).

    [0, 1]^d is cut into K^d cells, K about (N L)^(2/d). The net finds x's cell, and
    gives what was stored for it.
    m_i = min(floor(K x_i), K - 1)               the cell
    g = floor(m_d / L),  l = m_d - L g           its group of L neighbours, and where
    y = low + e (q_g + sum_(j <= l) (2 b_gj - 1))
        b_gj     the j-th binary digit of a number stored for the group g
        q_g      an integer stored for the group
        e        the largest change between neighbours in a group

The bits go up and down by e such that the stored value stays within e of the function
at the middle of each cell: one bit a cell, and one number for L cells, is how N L^2
weights can hold N^2 L^2 values. A table of N x N L groups is read in L parts, each by N
units for its rows and N for its columns; the numbers are read by bit extraction.

    |y(x) - f(x)| <= w(sqrt(d) / (2 K)) + max(w(1 / K), 2^-20 (max f - min f))

where w is the modulus of continuity of f: the largest change over such a distance.
Shapes: x (batch, d) in [0, 1] -> y (batch, 1).

The order of the error is that of Shen, Yang, Zhang 2020, "Deep network approximation
characterized by number of neurons", arXiv:1906.05497, whose steps these
are. Their ReLU net is wrong in gaps between cells; with the floors of their "Deep
network with approximation error being reciprocal of width to power of square root of
depth", arXiv:2006.12231, there are none. Selecting from the table by zeros and ones
keeps every number below 2^24, where the piecewise linear fit of the proof would cancel
in float32.
"""

from collections.abc import Callable
from typing import Literal

import keras
import numpy as np

from keras_dlparts.models.circuits.wiring import (
    Wiring,
    check_dtype,
    floor,
)
from keras_dlparts.support.checks import check_count

_MOST_CELLS = 2**22
_FINEST = 2.0**-20


def approximate(
    function: Callable,
    inputs: int = 1,
    width: int = 4,
    depth: int = 4,
    dtype: Literal["float32", "float64"] = "float32",
) -> keras.Model:
    """A net that approximates a continuous function on the unit cube.

    With N = `width` and L = `depth` it has `5 L + 2` hidden layers of at most `4 N + 3`
    units, or `inputs + 1` where these are more, and an error of the order
    (N L)^(-2 / inputs) for a function of bounded slope; `size` counts it. What is
    stored are integers, so the bound above holds at every point of the cube, up to the
    rounding of the output. The slope of a floor is 0: of the layers only the output
    learns when the net is trained on.

    Args:
        function: Callable, from an array `(points, inputs)` in [0, 1] to `(points,)`.
        inputs: Integer, `>= 1`: d.
        width: Integer, `>= 1`: N.
        depth: Integer, `>= 1`: L. A stored number has so many digits: at most 24 in
            float32, 53 in float64.
        dtype: `"float32"` or `"float64"`.

    Returns:
        A `keras.Sequential` from `(batch, inputs)` to `(batch, 1)`.

    Example:

    >>> model = approximate(lambda x: np.sin(6 * x[:, 0]), width=8, depth=4)
    >>> x = np.linspace(0, 1, 1000)[:, None]
    >>> error = np.abs(model.predict(x, verbose=0)[:, 0] - np.sin(6 * x[:, 0])).max()
    >>> bool(error < 6 * 1.5 / (8 * 4) ** 2)  # 1024 cells, and the slope is 6
    True
    """
    check_count("inputs", inputs)
    check_count("width", width)
    check_count("depth", depth)
    digits = check_dtype(dtype)
    if depth > digits:
        raise ValueError(
            f"`depth` must be at most {digits}: a stored number has as many binary "
            f"digits, and {dtype} holds {digits}. Received: depth={depth}; make it "
            "wider instead, or on TensorFlow give dtype='float64'"
        )
    if (width * depth) ** 2 > _MOST_CELLS:
        raise ValueError(
            f"There may be at most {_MOST_CELLS} cells, (width depth)^2. Received: "
            f"width={width}, depth={depth}; give less of one"
        )
    cells = _cells(inputs, width, depth)
    store = _Store(function, inputs, cells, depth)
    return _net(store, inputs, width, depth, dtype)


def _cells(inputs, width, depth):
    """The most cells a side whose groups find room in the table."""
    room = width**2 * depth
    cells = int((room * depth) ** (1 / inputs)) + 1
    while cells ** (inputs - 1) * -(-cells // depth) > room:
        cells -= 1
    return cells


class _Store:
    """What is kept of a function: an integer and some bits for each group of cells."""

    def __init__(self, function, inputs, cells, depth):
        self.cells, self.depth = cells, depth
        middles = (np.arange(cells) + 0.5) / cells
        grid = np.meshgrid(*[middles] * inputs, indexing="ij")
        points = np.stack([axis.ravel() for axis in grid], axis=-1)
        values = np.asarray(function(points), "float64")
        if values.shape != (len(points),) or not np.isfinite(values).all():
            raise ValueError(
                "`function` must give one finite number for each point. Received: "
                f"shape {values.shape} for {len(points)} points, or nan or infinity"
            )
        # A row of cells that is no multiple of a group ends with its last value.
        rows = values.reshape(-1, cells)
        rows = np.pad(rows, ((0, 0), (0, -cells % depth)), mode="edge")
        groups = rows.reshape(-1, depth)
        span = np.ptp(values)
        change = np.abs(np.diff(groups, axis=1)).max(initial=0.0)
        self.step = max(change, _FINEST * span)
        self.low = values.min()
        # Of a constant function the step is 0, and whatever is stored is that value.
        steps = (groups - self.low) / (self.step or 1.0)
        self.starts = np.round(steps[:, 0])
        self.bits = np.zeros((len(groups), depth - 1))
        now = self.starts.copy()
        for j in range(depth - 1):
            self.bits[:, j] = steps[:, j + 1] > now
            now += 2 * self.bits[:, j] - 1


def _net(store, inputs, width, depth, dtype):
    cells = store.cells
    net = Wiring(inputs)
    cell = net.layer(floor, [cells * x for x in net.units])
    beyond = net.layer("relu", [cells - 1 - m for m in cell])
    cell = [cells - 1 - r for r in beyond]
    # A half keeps quotients away from the integers, where rounding would decide.
    group, *cell = net.layer(floor, [(cell[-1] + 0.5) * (1 / depth), *cell])
    place = cell[-1] - depth * group
    number = group
    stride = -(-cells // depth)
    for m in cell[-2::-1]:
        number, stride = number + stride * m, stride * cells
    row, number, place = net.layer(floor, [(number + 0.5) * (1 / width), number, place])
    column = number - width * row
    start, code, place = _looked_up(net, store, row, column, place, width, depth)
    total = 0 * place
    for j in range(1, depth):
        unit = 2.0 ** (depth - 1 - j)
        # [l >= j], of integers less than depth apart.
        asked = (place - j + depth + 0.5) * (1 / depth)
        bit, asked, code, place, start, total = net.layer(
            floor, [code * (1 / unit), asked, code, place, start, total]
        )
        added, code, place, start, total = net.layer(
            "relu", [bit + asked - 1, code - unit * bit, place, start, total]
        )
        total = total + added
    y = store.step * (start + 2 * total - place) + store.low
    return net.model([y], "approximation", dtype)


def _looked_up(net, store, row, column, place, width, depth):
    """[start, code, place]: what is stored for a row and a column of the table.

    The table is read in `depth` parts of `width` rows, in three layers each.
    """
    powers = 2.0 ** np.arange(depth - 1)[::-1]
    stored = np.zeros((2, width * depth * width))
    stored[0, : len(store.starts)] = store.starts
    stored[1, : len(store.starts)] = store.bits @ powers
    largest = stored.max(axis=1)
    stored = stored.reshape(2, depth, width, width)

    def apart(number, first):
        """Forms whose ReLUs are the distances of a number from some integers."""
        off = [number - (first + i) for i in range(width)]
        return [form for one in off for form in (one, -one)]

    def matched(pairs):
        """1 for the integer that the number is, and at most 0 for the others."""
        return [1 - pairs[i] - pairs[i + 1] for i in range(0, len(pairs), 2)]

    def weighted(values, units):
        return sum((v * u for v, u in zip(values, units, strict=True)), 0 * units[0])

    columns = start = code = None
    for part in range(depth):
        found = [] if start is None else [start, code]
        aside = apart(column, 0) if columns is None else columns
        rows, aside, rest = net.grouped(
            "relu", apart(row, part * width), aside, [row, place, *found]
        )
        aside = matched(aside) if columns is None else aside
        rows, columns, rest = net.grouped("relu", matched(rows), aside, rest)
        # Of the row's values the one in the column stays; the others fall below 0.
        chosen = [
            [
                weighted(values[:, j], rows) + most * (column_is - 1)
                for j, column_is in enumerate(columns)
            ]
            for values, most in zip(stored[:, part], largest, strict=True)
        ]
        starts, codes, columns, rest = net.grouped("relu", *chosen, columns, rest)
        row, place, *found = rest
        start, code = sum(starts[1:], starts[0]), sum(codes[1:], codes[0])
        if found:
            start, code = start + found[0], code + found[1]
    return start, code, place
