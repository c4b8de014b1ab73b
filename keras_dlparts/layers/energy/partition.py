"""The partition function of a restricted Boltzmann machine, counted or estimated.

    exact    Z = sum over all states of the smaller Bernoulli side
    ais      p_k(v) ~ exp(-F_k(v)),  F_k(v) = visible energy - sum softplus(k/K x)
             log w = sum over k = 1..K of F_(k-1)(v_k) - F_k(v_k)
             v_1 ~ p_0, and v_(k+1) after one Gibbs step at k from v_k
             log Z ~ log Z_0 + log mean w,   Z_0 = 2^hidden prod (1 + exp(b))

So annealing goes from the biases alone (k = 0) to the machine itself (k = K). E[w] is
Z / Z_0 without a bias; the deviation of log Z is that of the mean of the weights.
Salakhutdinov & Murray 2008, "On the quantitative analysis of deep belief networks".
"""

import math
from typing import NamedTuple

import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy import boltzmann

# 2^20 states take about a second for a hundred units on the other side.
MOST_UNITS = 20
_BLOCK = 2**12
_LOG_2PI = math.log(2 * math.pi)


class LogPartition(NamedTuple):
    """log Z, and the standard deviation of that estimate; 0 where it is exact."""

    value: float
    deviation: float


def exact(W, b, c, visible, hidden):
    """log Z by counting states, in float64; weights are numpy arrays."""
    W, b, c = (np.asarray(a, "float64") for a in (W, b, c))
    over_visible = visible == "bernoulli" and (
        hidden != "bernoulli" or len(b) <= len(c)
    )
    if not over_visible and hidden != "bernoulli":
        raise ValueError(
            "log Z is exact only with a Bernoulli side. Received: "
            f"visible={visible!r}, hidden={hidden!r}"
        )
    units = len(b) if over_visible else len(c)
    if units > MOST_UNITS:
        raise ValueError(
            f"`method='exact'` counts 2^units states: one Bernoulli side must have at "
            f"most {MOST_UNITS} units. Received: {len(b)} visible ({visible}) and "
            f"{len(c)} hidden ({hidden}) units. Use `method='ais'`"
        )
    total = -np.inf
    for first in range(0, 2**units, _BLOCK):
        numbers = np.arange(first, min(first + _BLOCK, 2**units))
        states = (numbers[:, None] >> np.arange(units) & 1).astype("float64")
        if over_visible:
            terms = states @ b + _hidden_terms(c + states @ W, hidden).sum(1)
        else:
            y = b + states @ W.T
            terms = states @ c + _visible_terms(y, b, visible).sum(1)
        total = np.logaddexp(total, np.logaddexp.reduce(terms))
    return LogPartition(float(total), 0.0)


def _hidden_terms(x, hidden):
    if hidden == "bernoulli":
        return np.logaddexp(0, x)
    return ops.convert_to_numpy(boltzmann.softplus_integral(ops.convert_to_tensor(x)))


def _visible_terms(y, b, visible):
    """log of the sum, or integral, of exp(-energy + v (y - b)) over each v."""
    if visible == "bernoulli":
        return np.logaddexp(0, y)
    return (_LOG_2PI + y**2 - b**2) / 2


def annealed(W, b, c, seed, steps, chains, visible):
    """log Z of Bernoulli hidden units by `steps` steps of `chains` chains."""
    value = _log_of_base(*(ops.convert_to_numpy(a) for a in (b, c)), visible)
    weights = ops.convert_to_numpy(
        _anneal(W, b, c, seed, ops.cast(steps, "int32"), chains=chains, visible=visible)
    ).astype("float64")
    highest = weights.max()
    w = np.exp(weights - highest)
    deviation = w.std(ddof=1) / w.mean() / math.sqrt(chains)
    value += highest + math.log(w.mean())
    return LogPartition(float(value), float(deviation))


def _log_of_base(b, c, visible):
    """log Z_0, of the machine with its visible biases only."""
    y = np.asarray(b, "float64")
    return len(c) * math.log(2) + _visible_terms(y, y, visible).sum()


def anneal(W, b, c, seed, steps, *, chains, visible):
    """log w of each chain."""
    noise = "uniform" if visible == "bernoulli" else "normal"
    shapes = (chains, ops.shape(W)[0]), (chains, ops.shape(W)[1])

    def draw_visible(y, step):
        drawn = backend.draw(noise, shapes[0], seed, 2 * step)
        return boltzmann.visible_sample(y, drawn, visible)

    def body(k, state):
        v, weights = state
        x = boltzmann.to_hidden(v, W, c)
        before, now = (ops.cast(i, "float32") / steps_float for i in (k - 1, k))
        gain = ops.softplus(now * x) - ops.softplus(before * x)
        drawn = backend.draw("uniform", shapes[1], seed, 2 * k + 1)
        h = boltzmann.hidden_sample(now * x, drawn, "bernoulli")
        y = b + now * (boltzmann.to_visible(h, W, b) - b)
        return draw_visible(y, k), weights + ops.sum(gain, axis=-1)

    steps_float = ops.cast(steps, "float32")
    start = draw_visible(ops.broadcast_to(b, shapes[0]), 0)
    state = start, ops.zeros((chains,), "float32")
    return ops.fori_loop(1, steps + 1, body, state)[1]


_anneal = backend.compiled(anneal, ("chains", "visible"))
