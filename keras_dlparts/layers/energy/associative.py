"""The mathematics of the classical Hopfield network: pure functions of tensors.

    E(x) = -1/2 sum_ij w_ij x_i x_j         x_i in {-1, 1}, w_ij = w_ji, w_ii = 0

    Hebb             w_ij <- w_ij + x_i x_j / n
    Storkey          w_ij <- w_ij + (x_i x_j - x_i h_ji - h_ij x_j) / n
                     h_ij = sum over k other than i, j of w_ik x_k
    pseudo-inverse   P <- P + e e' / e'e,  e = x - P x;  w_ij = p_ij, but w_ii = 0

    synchronous      every x_i <- sign(sum_j w_ij x_j) at once
    asynchronous     the same for one unit after the other: E never rises

P projects onto the patterns stored so far, so that P x = x for each of them; a pattern
that they span already changes nothing. Where the sum is 0 a unit keeps its value.
Shapes: x (patterns, n), W and P (n, n).
Hopfield 1982, "Neural networks and physical systems with emergent collective
computational abilities"; Storkey 1997, "Increasing the capacity of a Hopfield network
without sacrificing functionality"; Personnaz et al. 1985, "Information storage and
retrieval in spin-glass like neural networks".
"""

from keras import ops

from keras_dlparts import backend

# A pattern of which less than this share lies outside of the others' span is spanned.
_SPANNED = 1e-5


def hebb(W, x):
    """Store all rows of x at once; their order does not matter."""
    return without_diagonal(W + ops.matmul(ops.transpose(x), x) / _units(x))


def storkey(W, x):
    """Store the rows of x one after the other."""

    def store(i, W):
        row = x[i]
        h = ops.matmul(W, row)
        outer, crossed = ops.outer(row, row), ops.outer(row, h)
        # h_ij = h_i - w_ij x_j, and x_i x_i = 1.
        change = outer - crossed - ops.transpose(crossed) + 2 * W
        return without_diagonal(W + change / _units(x))

    return ops.fori_loop(0, ops.shape(x)[0], store, W)


def pseudo_inverse(P, x):
    """Widen the projection P by the rows of x, one after the other."""
    n = _units(x)

    def widen(i, P):
        e = x[i] - ops.matmul(P, x[i])
        outside = ops.sum(ops.square(e))
        share = ops.where(outside > _SPANNED * n, 1 / ops.maximum(outside, _SPANNED), 0)
        return P + share * ops.outer(e, e)

    return ops.fori_loop(0, ops.shape(x)[0], widen, P)


def without_diagonal(W):
    """W with w_ii = 0."""
    places = ops.arange(ops.shape(W)[0])
    return ops.where(ops.equal(places[:, None], places), 0.0, W)


def _units(x):
    """n as a float; a compiled function may know it at run time only."""
    return ops.cast(ops.shape(x)[1], "float32")


def energy(x, W):
    """E of each row of x, shape (batch,)."""
    return -ops.sum(ops.matmul(x, W) * x, axis=-1) / 2


def signs(h, otherwise):
    """1 where h > 0, -1 where h < 0, and `otherwise` where it is 0."""
    return ops.where(h == 0, otherwise, ops.sign(h))


def synchronous(x, W, free):
    """One update of all units that are free; x (n, batch)."""
    return ops.where(free, signs(ops.matmul(W, x), x), x)


def asynchronous(x, W, free):
    """One update of each free unit, in their order; x (n, batch)."""
    n, batch = ops.shape(x)

    def update(i, x):
        start = (i, 0)
        own, may = (ops.slice(a, start, (1, batch)) for a in (x, free))
        h = ops.matmul(ops.slice(W, start, (1, n)), x)
        return ops.slice_update(x, start, ops.where(may, signs(h, own), own))

    return ops.fori_loop(0, n, update, x)


def settle(x, W, free, steps, *, order):
    """x (batch, n) after updates until nothing changes, or `steps` of them."""
    update = asynchronous if order == "asynchronous" else synchronous
    free = ops.transpose(free)

    def moves(k, x, before):
        return ops.logical_and(k < steps, ops.any(x != before))

    def step(k, x, before):
        return k + 1, update(x, W, free), x

    x = ops.transpose(x)
    if backend.recorded():
        x = ops.fori_loop(0, steps, lambda k, x: update(x, W, free), x)
        return ops.transpose(x)
    state = ops.zeros((), "int32"), x, -x
    return ops.transpose(ops.while_loop(moves, step, state)[1])


compiled_settle = backend.compiled(settle, ("order",))
RULES = {"hebb": hebb, "storkey": storkey, "pseudo_inverse": pseudo_inverse}
compiled_rules = {name: backend.compiled(rule) for name, rule in RULES.items()}
ORDERS = ("asynchronous", "synchronous")
