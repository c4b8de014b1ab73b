"""The mathematics of Boltzmann machines on any graph: pure functions of tensors.

    E(x) = -b x - 1/2 x W x        x_i in {0, 1}, w_ij = w_ji, w_ii = 0
    p(x) = exp(-E(x)) / Z          P(x_i = 1 given the others) = sigmoid(b_i + x W_i)

Units of a block are not connected with each other, so that they are drawn at once; a
sweep goes through all blocks. Means of units, in place of their states, are updated
alike, and each such update raises the bound -E(mu) + H(mu) <= log Z.
Shapes: x (rows, n), W (n, n), b (n,), all in the order in which the blocks follow each
other; `sizes` are those of the blocks. A temperature 1 / beta draws from
sigmoid(beta (b_i + x W_i)).
"""

import numpy as np
from keras import ops

from keras_dlparts import backend

# With more blocks than these, a sweep is a loop over single units.
_UNROLLED = 16


def colored(mask):
    """Blocks of units that are not connected, as lists of their numbers.

    Greedy: units with many connections first, each to the first block it fits in. Where
    the graph is bipartite, breadth first finds its two blocks.

    >>> colored(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    [[0, 2], [1]]
    """
    mask = np.asarray(mask, bool)
    color = _two_colors(mask)
    if color is None:
        color = np.full(len(mask), -1)
        for i in np.argsort(-mask.sum(axis=1), kind="stable"):
            taken = {*color[mask[i]].tolist()}
            color[i] = next(k for k in range(len(mask)) if k not in taken)
    return [np.flatnonzero(color == k).tolist() for k in range(color.max() + 1)]


def _two_colors(mask):
    """0 or 1 for each unit such that connected ones differ, or None."""
    color = np.full(len(mask), -1)
    for first in range(len(mask)):
        if color[first] >= 0:
            continue
        color[first], waiting = 0, [first]
        while waiting:
            i = waiting.pop()
            near = np.flatnonzero(mask[i])
            if (color[near] == color[i]).any():
                return None
            waiting += near[color[near] < 0].tolist()
            color[near] = 1 - color[i]
    return color


def energy(x, W, b):
    """E of each row of x, shape (rows,)."""
    return -ops.matmul(x, b) - ops.sum(ops.matmul(x, W) * x, axis=-1) / 2


def entropy(mu):
    """H of independent units with these means, shape (rows,)."""
    mu = ops.clip(mu, 1e-7, 1 - 1e-7)
    return -ops.sum(mu * ops.log(mu) + (1 - mu) * ops.log(1 - mu), axis=-1)


def sweep(x, W, b, free, sizes, value):
    """x after every block was updated once; units that are not `free` stay.

    Args:
        x: Tensor `(rows, n)`.
        W, b: The machine.
        free: Booleans like x, or a numpy array of those of all rows, by which blocks
            that are not free cost nothing.
        sizes: Tuple of the sizes of the blocks.
        value: A function of what a block's units are driven by, `b + x W`, and of the
            first unit's number; gives their states or means.
    """
    if len(sizes) > _UNROLLED:
        return _one_by_one(x, W, b, free, value)
    start = 0
    for size in sizes:
        stop = start + size
        may = free[..., start:stop]
        if not isinstance(free, np.ndarray) or may.any():
            drive = ops.matmul(x, W[:, start:stop]) + b[start:stop]
            block = ops.where(may, value(drive, start), x[:, start:stop])
            x = ops.concatenate([x[:, :start], block, x[:, stop:]], axis=1)
        start = stop
    return x


def _one_by_one(x, W, b, free, value):
    rows, n = ops.shape(x)
    free = ops.transpose(ops.broadcast_to(free, (rows, n)))

    def update(i, x):
        own, may = (ops.slice(a, (i, 0), (1, rows)) for a in (x, free))
        drive = ops.matmul(ops.slice(W, (i, 0), (1, n)), x) + b[i]
        drawn = ops.transpose(value(ops.transpose(drive), i))
        return ops.slice_update(x, (i, 0), ops.where(may, drawn, own))

    return ops.transpose(ops.fori_loop(0, n, update, ops.transpose(x)))


def mean_field(x, W, b, free, steps, *, sizes):
    """The means of the free units after `steps` sweeps, beginning at x."""
    return ops.fori_loop(
        0,
        steps,
        lambda i, mu: sweep(mu, W, b, free, sizes, lambda drive, _: ops.sigmoid(drive)),
        x,
    )


def gibbs(x, W, b, free, seed, steps, *, sizes, beta=1.0, base=0.0):
    """The states after `steps` sweeps of draws.

    They are drawn from exp(-beta E(x) + (1 - beta) base x); `beta` is a number or one a
    row, `base` a number or one a unit.
    """
    n = ops.shape(x)[1]
    base = base + ops.zeros_like(b)

    def step(k, x):
        def draw(drive, first):
            width = ops.shape(drive)[1]
            beside = ops.slice(base, (first,), (width,))
            chance = ops.sigmoid(beta * drive + (1 - beta) * beside)
            number = k * n + first  # a draw of its own for each unit in each sweep
            noise = backend.draw("uniform", ops.shape(drive), seed, number)
            return ops.cast(noise < chance, "float32")

        return sweep(x, W, b, free, sizes, draw)

    return ops.fori_loop(0, steps, step, x)


def tempered(x, W, b, free, seed, steps, *, sizes, betas):
    """The states at the first beta after sweeps at all of them and swaps between them.

    x has the rows of the first beta, then of the second, and so on. After each sweep
    the states of neighbours are swapped with the chance min(1, exp((beta - beta') (E -
    E'))), by which each row goes on drawing from its own temperature.
    """
    levels = len(betas)
    rows, n = ops.shape(x)[0] // levels, ops.shape(x)[1]
    beta = ops.reshape(ops.convert_to_tensor(betas, "float32"), (levels, 1))
    beta = ops.broadcast_to(beta, (levels, rows))
    level = ops.reshape(ops.arange(levels, dtype="int32"), (levels, 1))
    level = ops.broadcast_to(level, (levels, rows))

    def step(k, x):
        own = seed + ops.cast(k + 1, seed.dtype)
        x = gibbs(x, W, b, free, own, 1, sizes=sizes, beta=ops.reshape(beta, (-1, 1)))
        E = ops.reshape(energy(x, W, b), (levels, rows))
        # In even steps 0 and 1, 2 and 3, ... are neighbours; in odd ones 1 and 2, ...
        other = ops.where((level + k) % 2 == 0, level + 1, level - 1)
        other = ops.where((other < 0) | (other >= levels), level, other)

        def of_other(values):
            return ops.take_along_axis(values, other, axis=0)

        u = backend.draw("uniform", (levels, rows), seed, k)
        u = ops.where(other < level, of_other(u), u)  # both of a pair ask the same
        gain = (beta - of_other(beta)) * (E - of_other(E))
        source = ops.where(ops.log(u) < gain, other, level)
        x = ops.reshape(x, (levels, rows, n))
        x = ops.take_along_axis(x, ops.expand_dims(source, -1), axis=0)
        return ops.reshape(x, (levels * rows, n))

    return ops.fori_loop(0, steps, step, x)[:rows]


compiled_mean_field = backend.compiled(mean_field, ("sizes",))
compiled_gibbs = backend.compiled(gibbs, ("sizes",))
compiled_tempered = backend.compiled(tempered, ("sizes", "betas"))
