"""The mathematics of deep Boltzmann machines: layers as the two sides of one machine.

    E(h_0, .., h_L) = -sum_l b_l h_l - sum_l h_(l-1) W_l h_l             h_0 = v
    even = (h_0, h_2, ..),  odd = (h_1, h_3, ..)
    E               = -b even - c odd - even M odd

Layers are connected with the next one only. So the odd ones are independent given the
even ones, and the other way round: a deep machine is a restricted one, whose kernel M
holds W_l or its transpose where two layers meet, and 0 elsewhere.

    odd  = sigmoid(c + even M),  hidden even = sigmoid(b + odd M^T)      mean field
    log p(v) >= -E(v, mu) + H(mu) - log Z

Each such update raises the bound, and so does one that goes only a part of the way.
Shapes: v (batch, visible), even and odd (batch, their units), M (even, odd). The
mathematics of restricted machines: `boltzmann.py`.
"""

from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy import pairwise


def sides(kernels, biases):
    """(M, b, c) of the layers' kernels W_1 .. W_L and biases b_0 .. b_L."""
    sizes = [b.shape[0] for b in biases]
    rows = []
    for i in range(0, len(sizes), 2):
        row = []
        for j in range(1, len(sizes), 2):
            if j == i + 1:
                row.append(kernels[i])
            elif j == i - 1:
                row.append(ops.transpose(kernels[j]))
            else:
                row.append(ops.zeros((sizes[i], sizes[j]), "float32"))
        rows.append(ops.concatenate(row, axis=1))
    M = ops.concatenate(rows, axis=0)
    return M, ops.concatenate(biases[::2]), ops.concatenate(biases[1::2])


def apart(even, odd, sizes):
    """The layers h_0 .. h_L of both sides, a list."""
    layers, start = [], [0, 0]
    for i, size in enumerate(sizes):
        side, first = (even, odd)[i % 2], start[i % 2]
        layers.append(side[:, first : first + size])
        start[i % 2] += size
    return layers


def mean_field(v, M, b, c, *, steps, damping):
    """(even, odd): v and the means of the hidden units after `steps` updates of all.

    They begin as if the odd layers had as much from above as from below: with twice
    what v gives them. Of a new mean 1 - damping is taken, and damping of the old one.
    """
    n = ops.shape(v)[1]
    up, above = M[n:], b[n:]
    down = ops.transpose(up)
    drive = ops.matmul(v, M[:n])

    odd = ops.sigmoid(c + 2 * drive)
    h = ops.sigmoid(above + ops.matmul(odd, down))
    for _ in range(steps):
        new = ops.sigmoid(c + drive + ops.matmul(h, up))
        odd = damping * odd + (1 - damping) * new
        new = ops.sigmoid(above + ops.matmul(odd, down))
        h = damping * h + (1 - damping) * new
    return ops.concatenate([v, h], axis=1), odd


def energy(even, odd, M, b, c):
    """E of each row, shape (batch,)."""
    return -ops.matmul(even, b) - ops.sum((c + ops.matmul(even, M)) * odd, axis=-1)


def free_energy(v, M, b, c, *, steps, damping):
    """E(v, mu) - H(mu) of each row, at least F(v) = -log p(v) - log Z; (batch,)."""
    even, odd = mean_field(v, M, b, c, steps=steps, damping=damping)
    return energy(even, odd, M, b, c) - entropy(even, odd, ops.shape(v)[1])


def entropy(even, odd, visible):
    """H of the hidden units, shape (batch,)."""
    return pairwise.entropy(even[:, visible:]) + pairwise.entropy(odd)


compiled_mean_field = backend.compiled(mean_field, ("steps", "damping"))
compiled_free_energy = backend.compiled(free_energy, ("steps", "damping"))
