"""How S-cells learn without a teacher: by seed cells, one presentation after another.

    column     all cells, of whatever plane, within `column_size` of a cell
    candidate  a cell that responds, and more than all others of its column
    seed cell  of a plane: the largest of its candidates, if it has one
    a_k <- a_k + q c u        u: what the seed cell of plane k sees
    b_k <- b_k + q v          v = sqrt(sum c u^2), "1988";  q v / 2, "1980"

All other cells of the plane get the seed cell's connections, for they are shared.
Shapes: u (height, width, planes in), responses (height, width, K), a (n, m, planes
in, K), b (K,).
"""

import numpy as np
from keras import ops


def winners(responses, column_size):
    """Of each plane the seed cell, as its place among height * width; and whether the
    plane has one."""
    height, width, planes = responses.shape
    best, plane = ops.max(responses, axis=-1), ops.argmax(responses, axis=-1)
    column = ops.max_pool(
        best[None, :, :, None], column_size, 1, "same", data_format="channels_last"
    )
    candidate = ops.where(best >= column[0, :, :, 0], best, 0.0)
    each = candidate[..., None] * ops.one_hot(plane, planes, dtype=responses.dtype)
    each = ops.reshape(each, (height * width, planes))
    return ops.argmax(each, axis=0), ops.max(each, axis=0) > 0


def seen(u, places, size, padding):
    """What the cells at some places of a layer see: (planes, n, m, planes in)."""
    height, width, channels = u.shape
    if padding == "same":
        ends = [((n - 1) // 2, n // 2) for n in size]
        u = ops.pad(u, [*ends, (0, 0)])
        height, width = height + size[0] - 1, width + size[1] - 1
    flat = ops.reshape(u, (height * width, channels))
    # Where the field of each cell begins, and where its cells lie from there.
    first = np.arange(height - size[0] + 1)[:, None] * width
    first = (first + np.arange(width - size[1] + 1)).ravel()
    inside = (np.arange(size[0])[:, None] * width + np.arange(size[1])).ravel()
    index = ops.take(ops.convert_to_tensor(first, "int32"), places)
    index = index[:, None] + ops.convert_to_tensor(inside, "int32")
    return ops.reshape(ops.take(flat, index, axis=0), (-1, *size, channels))


def reinforced(a, b, u, responses, c, amount, column_size, padding, share):
    """a and b after one presentation; `share` of v is added to b."""
    places, won = winners(responses, column_size)
    fields = seen(u, places, c.shape[:2], padding)
    amount = amount * ops.cast(won, a.dtype)
    weighted = c * fields
    v = ops.sqrt(ops.sum(weighted * fields, axis=(1, 2, 3)))
    return a + amount * ops.transpose(weighted, (1, 2, 3, 0)), b + share * amount * v
