"""The centres of made mixtures in the plane, which their data and their metric share.

    ring   (cos a_i, sin a_i),  a_i = 2 pi i / modes
    grid   the points of a square lattice around 0, 2 apart, in rows

The standard deviation of the literature is .01 on the ring and .05 on the grid.
"""

import math

import numpy as np

from keras_dlparts.support.checks import check_count, check_number, check_word

ARRANGEMENTS = {"ring": (8, 0.01), "grid": (25, 0.05)}


def centres(arrangement, modes=None):
    """An array `(modes, 2)`.

    >>> centres("grid", 4).tolist()
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """
    check_word("arrangement", arrangement, ARRANGEMENTS)
    modes = ARRANGEMENTS[arrangement][0] if modes is None else modes
    check_count("modes", modes)
    if arrangement == "ring":
        a = 2 * np.pi * np.arange(modes) / modes
        return np.stack([np.cos(a), np.sin(a)], axis=-1)
    side = math.isqrt(modes)
    if side * side != modes:
        raise ValueError(
            "`modes` of a grid must be a square number, such as 25. "
            f"Received: modes={modes}"
        )
    line = 2.0 * np.arange(side) - (side - 1)
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


def deviation_of(arrangement, deviation=None):
    """The standard deviation of each mode."""
    if deviation is None:
        return ARRANGEMENTS[arrangement][1]
    return check_number("deviation", deviation, above=0)
