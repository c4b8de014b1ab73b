"""The partition function of a restricted Boltzmann machine, counted or estimated.

    exact    Z = sum over all states of the smaller Bernoulli side
    ais      p_k(v) ~ exp(-F_k(v))
             F_k(v) = (1 - k/K) E_a(v) + k/K E_b(v) - sum softplus(k/K x)
             log w = sum over k = 1..K of F_(k-1)(v_k) - F_k(v_k)
             v_1 ~ p_0, and v_(k+1) after one Gibbs step at k from v_k
             log Z ~ log Z_0 + log mean w,   Z_0 = 2^hidden prod (1 + exp(a))
    floor    log Z >= log sum over distinct v of exp(-F(v)); over distinct h likewise

E_b(v) is the visible units' energy with the biases b, so annealing goes from a machine
with the visible biases a and without weights (k = 0) to the machine itself (k = K).
E[w] is Z / Z_0 without a bias, but a mode of p that no chain reaches is not in the
mean, and its deviation cannot show that. The estimate is then too small. Therefore

- annealing starts from two machines, a = b and a = the base rates of data, and the
  larger estimate counts. By Markov's inequality each is more than t above log Z
  with a chance of at most exp(-t);
- the estimate is held against the floor, which is certain, over states of the data, of
  Gibbs chains from there and from elsewhere, and of the annealed chains.

Salakhutdinov & Murray 2008, "On the quantitative analysis of deep belief networks".
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy import boltzmann, rows
from keras_dlparts.layers.energy.gibbs import compiled_gibbs

# 2^20 states take about a second for a hundred units on the other side.
MOST_UNITS = 20
_BLOCK = 2**12
_LOG_2PI = math.log(2 * math.pi)
# How much of a uniform distribution is mixed into the base rates: with a rate of 0 or 1
# a unit would start to move late.
_UNIFORM = 0.05
# The Gibbs chains' states that are looked at: after so many steps more, each time.
_LOOKED_AT = (1, 10, 100, 1000)
_MOST_ROWS = 10_000
_LOOSE = 0.5  # a deviation at which about four chains carry the estimate


class LogPartition(NamedTuple):
    """log Z, and the standard deviation of that estimate.

    The deviation is 0 where log Z is exact, and infinite where the value is only known
    to be too small.
    """

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
        states = rows.states(units, first, min(first + _BLOCK, 2**units))
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


def annealed(W, b, c, draw_seed, steps, chains, visible, data=None):
    """log Z of Bernoulli hidden units by annealed importance sampling, checked.

    Args:
        W: Tensor `(visible, hidden)`.
        b: Tensor `(visible,)`.
        c: Tensor `(hidden,)`.
        draw_seed: A function that gives another seed each time, as
            `SeedGenerator.next` does.
        steps: Integer. Temperatures.
        chains: Integer. Chains from each of the two starts.
        visible: `"bernoulli"` or `"gaussian"`.
        data: Array `(rows, visible)`; None to take states of Gibbs chains for it.
    """
    kinds = {"visible": visible, "hidden": "bernoulli"}
    free = np.full((chains, b.shape[0]), np.nan, "float32")

    def walk(v, count):
        count = ops.cast(count, "int32")
        v, _ = compiled_gibbs(v, free, W, b, c, draw_seed(), count, **kinds)
        return v

    own = walk(_anywhere(W, b, draw_seed(), chains, visible), _LOOKED_AT[-1])
    own = ops.convert_to_numpy(own)
    data = own if data is None else ops.convert_to_numpy(data)
    data = data[:: math.ceil(len(data) / _MOST_ROWS)]
    found, states = [], [data, own]
    for a in (ops.convert_to_numpy(b), base_rates(data, visible)):
        weights, ends = _anneal(
            *(W, b, c, ops.convert_to_tensor(a), draw_seed()),
            ops.cast(steps, "int32"),
            chains=chains,
            visible=visible,
        )
        found.append(_estimate(a, c.shape[0], weights, visible))
        states.append(ops.convert_to_numpy(ends))
    v = ops.convert_to_tensor(data[np.arange(chains) % len(data)])
    for count in _LOOKED_AT:
        v = walk(v, count)
        states.append(ops.convert_to_numpy(v))
    arrays = (ops.convert_to_numpy(a) for a in (W, b, c))
    return checked(max(found), floor(*arrays, np.concatenate(states), visible))


def _anywhere(W, b, seed, chains, visible):
    """Visible states far apart: given hidden units of which a chain has few or many.

    The biases alone would begin all chains in one place.
    """
    chance = backend.draw("uniform", (chains, 1), seed)
    drawn = backend.draw("uniform", (chains, W.shape[1]), seed, 1)
    y = boltzmann.to_visible(ops.cast(drawn < chance, "float32"), W, b)
    noise = "uniform" if visible == "bernoulli" else "normal"
    drawn = backend.draw(noise, (chains, W.shape[0]), seed, 2)
    return boltzmann.visible_sample(y, drawn, visible)


def base_rates(data, visible):
    """The biases of the machine without weights that is nearest to the data."""
    rate = data.mean(axis=0, dtype="float64")
    if visible == "bernoulli":
        rate = (1 - _UNIFORM) * rate + _UNIFORM / 2
        rate = np.log(rate / (1 - rate))
    return rate.astype("float32")


def _estimate(a, hidden_units, weights, visible):
    """log Z from the log weights of chains that began at the biases a."""
    y = np.asarray(a, "float64")
    start = hidden_units * math.log(2) + _visible_terms(y, y, visible).sum()
    return estimate(start, weights)


def estimate(start, weights):
    """log Z from that of the machine that chains began with, and their log weights."""
    weights = ops.convert_to_numpy(weights).astype("float64")
    highest = weights.max()
    w = np.exp(weights - highest)
    deviation = w.std(ddof=1) / w.mean() / math.sqrt(len(w))
    return LogPartition(float(start + highest + math.log(w.mean())), float(deviation))


def floor(W, b, c, v, visible):
    """What log Z is at least: a sum over the distinct states among these and their h.

    Values between 0 and 1 of Bernoulli units are rounded. For Gaussian visible units
    only the sum over h bounds the integral that Z is.
    """
    W, b, c = (np.asarray(a, "float64") for a in (W, b, c))
    sums = []
    if visible == "bernoulli":
        v = np.unique(np.asarray(v) > 0.5, axis=0).astype("float64")
        sums.append(v @ b + np.logaddexp(0, c + v @ W).sum(axis=1))
    h = np.unique(c + v @ W > 0, axis=0).astype("float64")
    sums.append(h @ c + _visible_terms(b + h @ W.T, b, visible).sum(axis=1))
    return max(float(np.logaddexp.reduce(terms)) for terms in sums)


def checked(found, least):
    """The estimate, or the floor where that is higher; a warning if it was beaten."""
    if least > found.value + 4 * found.deviation + 1e-3:
        warnings.warn(
            "Annealing missed states that hold more than all it found: log Z is at "
            f"least {least:.6g}. Received: an estimate of {found.value:.6g} +- "
            f"{found.deviation:.2g}. The value returned is that bound, and too small "
            "by an unknown amount. Give more `steps`, or `data` like those that the "
            "machine learnt from",
            stacklevel=4,
        )
        return LogPartition(least, math.inf)
    if found.deviation > _LOOSE:
        warnings.warn(
            "Few chains carry the estimate of log Z, so that its deviation says "
            f"little. Received: {found.value:.6g} +- {found.deviation:.2g}. Give more "
            "`steps` or `chains`",
            stacklevel=4,
        )
    return found._replace(value=max(found.value, least))


def anneal(W, b, c, a, seed, steps, *, chains, visible):
    """log w of each chain, and the visible states at its end."""
    noise = "uniform" if visible == "bernoulli" else "normal"
    shapes = (chains, ops.shape(W)[0]), (chains, ops.shape(W)[1])

    def draw_visible(y, step):
        drawn = backend.draw(noise, shapes[0], seed, 2 * step)
        return boltzmann.visible_sample(y, drawn, visible)

    def body(k, state):
        v, weights = state
        x = boltzmann.to_hidden(v, W, c)
        before, now = (ops.cast(i, "float32") / steps_float for i in (k - 1, k))
        gain = ops.sum(ops.softplus(now * x) - ops.softplus(before * x), axis=-1)
        here, there = (boltzmann.visible_energy(v, bias, visible) for bias in (a, b))
        gain += (now - before) * (here - there)
        drawn = backend.draw("uniform", shapes[1], seed, 2 * k + 1)
        h = boltzmann.hidden_sample(now * x, drawn, "bernoulli")
        y = (1 - now) * a + now * boltzmann.to_visible(h, W, b)
        return draw_visible(y, k), weights + gain

    steps_float = ops.cast(steps, "float32")
    start = draw_visible(ops.broadcast_to(a, shapes[0]), 0)
    state = start, ops.zeros((chains,), "float32")
    v, weights = ops.fori_loop(1, steps + 1, body, state)
    return weights, v


_anneal = backend.compiled(anneal, ("chains", "visible"))
