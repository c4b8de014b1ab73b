"""log Z of a Boltzmann machine on any graph, counted or estimated.

    x = (r, l)      l the units of one block, which are independent given r
    log f(r)        = log sum over l of exp(-E(r, l))
                    = b_r r + 1/2 r W r + sum over l of softplus(b_l + r W_l)
    exact           Z = sum over r of f(r)
    ais             f_k(r) likewise of exp(-beta_k E(x) + (1 - beta_k) a x)
                    log w = sum over k of log f_k(r_k) - log f_(k-1)(r_k)
                    log Z ~ sum softplus(a) + log mean w
    floor           log Z >= log of the sum of f(r) over distinct r

The units are in the order of their blocks and the largest block, l, is the last. What
may go wrong with annealing, and how it is seen: `partition.py`.
"""

import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy import pairwise, rows
from keras_dlparts.layers.energy.partition import (
    MOST_UNITS,
    LogPartition,
    base_rates,
    checked,
    estimate,
)

_BLOCK = 2**12
_SETTLING = 200  # sweeps of the chains whose states are looked at besides


def log_f(r, W, b):
    """log f of each row of r, in float64 by numpy."""
    m = r.shape[1]
    drive = b[m:] + r @ W[:m, m:]
    pairs = np.einsum("si,ij,sj->s", r, W[:m, :m], r, optimize=True) / 2
    return r @ b[:m] + pairs + np.logaddexp(0, drive).sum(axis=1)


def exact(W, b, sizes):
    """log Z by counting the states of all blocks but the last; numpy arrays."""
    W, b = (np.asarray(a, "float64") for a in (W, b))
    units = sum(sizes[:-1])
    if units > MOST_UNITS:
        raise ValueError(
            "`method='exact'` counts the states of all units but those of the largest "
            f"block without connections, at most {MOST_UNITS} units. Received: {units} "
            f"of {len(b)} units. Use `method='ais'`"
        )
    total = -np.inf
    for first in range(0, 2**units, _BLOCK):
        r = rows.states(units, first, min(first + _BLOCK, 2**units))
        total = np.logaddexp(total, np.logaddexp.reduce(log_f(r, W, b)))
    return LogPartition(float(total), 0.0)


def annealed(W, b, sizes, draw_seed, steps, chains, states):
    """log Z by annealed importance sampling from two machines, held against the floor.

    Args:
        W, b: Tensors, in the order of the blocks.
        sizes: Tuple, of the blocks.
        draw_seed: A function that gives another seed each time.
        steps: Integer. Temperatures.
        chains: Integer. Chains from each of the two starts.
        states: Array `(rows, n)` of states like those that the machine prefers, or
            None for those of Gibbs chains.
    """
    free = ops.ones((chains, b.shape[0]), "bool")
    noise = backend.draw("uniform", (chains, b.shape[0]), draw_seed())
    rate = backend.draw("uniform", (chains, 1), draw_seed())  # few are on, or many
    own = pairwise.compiled_gibbs(
        ops.cast(noise < rate, "float32"),
        *(W, b, free, draw_seed(), ops.convert_to_tensor(_SETTLING, "int32")),
        sizes=sizes,
    )
    own = ops.convert_to_numpy(own)
    states = own if states is None else states
    arrays = [ops.convert_to_numpy(a).astype("float64") for a in (W, b)]
    m, found, seen = sum(sizes[:-1]), [], [states, own]
    for a in (arrays[1].astype("float32"), base_rates(states, "bernoulli")):
        weights, ends = _anneal(
            *(W, b, ops.convert_to_tensor(a), draw_seed()),
            ops.convert_to_tensor(steps, "int32"),
            sizes=sizes,
            chains=chains,
        )
        start = np.logaddexp(0, a.astype("float64")).sum()
        found.append(estimate(start, weights))
        seen.append(ops.convert_to_numpy(ends))
    r = np.unique(np.concatenate(seen)[:, :m] > 0.5, axis=0).astype("float64")
    return checked(max(found), float(np.logaddexp.reduce(log_f(r, *arrays))))


def anneal(W, b, a, seed, steps, *, sizes, chains):
    """log w of each chain, and the states at its end."""
    n = ops.shape(b)[0]
    m = sum(sizes[:-1])
    free = ops.ones((chains, n), "bool")

    def log_f_at(beta, r, drive, linear, pairs):
        last = ops.softplus(beta * drive + (1 - beta) * a[m:])
        first = beta * (linear + pairs) + (1 - beta) * ops.matmul(r, a[:m])
        return first + ops.sum(last, axis=-1)

    def body(k, state):
        x, weights = state
        r = x[:, :m]
        drive = b[m:] + ops.matmul(r, W[:m, m:])
        pairs = ops.sum(ops.matmul(r, W[:m, :m]) * r, axis=-1) / 2
        linear = ops.matmul(r, b[:m])
        before, now = (ops.cast(i, "float32") / temperatures for i in (k - 1, k))
        for beta, sign in ((now, 1), (before, -1)):
            weights += sign * log_f_at(beta, r, drive, linear, pairs)
        own = seed + ops.cast(k, seed.dtype)
        return (
            pairwise.gibbs(x, W, b, free, own, 1, sizes=sizes, beta=now, base=a),
            weights,
        )

    temperatures = ops.cast(steps, "float32")
    noise = backend.draw("uniform", (chains, n), seed)
    state = ops.cast(noise < ops.sigmoid(a), "float32"), ops.zeros((chains,), "float32")
    x, weights = ops.fori_loop(1, steps + 1, body, state)
    return weights, x


_anneal = backend.compiled(anneal, ("sizes", "chains"))
