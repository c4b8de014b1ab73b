"""The mathematics of restricted Boltzmann machines: pure functions of tensors.

    visible     term of the energy       v given h, where y = b + W h
    bernoulli   -b v                     P(v = 1) = sigmoid(y)
    gaussian    (v - b)^2 / 2            v ~ N(y, 1)

    hidden      term of F(v)             h given v, where x = c + v W
    bernoulli   -softplus(x)             P(h = 1) = sigmoid(x)
    relu        -S(x)                    h = max(0, x + n sqrt(sigmoid(x))), n ~ N(0, 1)

    F(v) = sum_i energy_i + sum_j term_j     p(v) = exp(-F(v)) / Z

A relu unit stands for infinitely many Bernoulli units with the biases c - 1/2,
c - 3/2, ...; the sum of their softplus is taken as the integral S(x) of softplus up to
x, so that E[h] = S'(x) = softplus(x). Shapes: v (batch, visible), h and x (batch,
hidden), W (visible, hidden). Noise is an argument: uniform in [0, 1) for Bernoulli
units, standard normal for the others.
Hinton 2012, "A practical guide to training restricted Boltzmann machines"; Nair &
Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
"""

import math

import numpy as np
from keras import ops

VISIBLE = ("bernoulli", "gaussian")
HIDDEN = ("bernoulli", "relu")
# The golden ratio's fraction, (sqrt(5) - 1) / 2, in units of 2^-32 and less 1: its
# multiples spread any number of rows evenly over the visible units.
_GOLDEN = -1640531527


def to_hidden(v, W, c):
    """x = c + v W, in float32 whatever v computes in."""
    return ops.cast(ops.matmul(v, ops.cast(W, v.dtype)), "float32") + c


def to_visible(h, W, b):
    """y = b + W h, in float32 whatever h computes in."""
    W = ops.cast(W, h.dtype)
    return ops.cast(ops.matmul(h, ops.transpose(W)), "float32") + b


def softplus_integral(x):
    """S(x), the integral of softplus from minus infinity to x.

    With u = softplus(-|x|) <= log 2 it is minus a dilogarithm, whose series in u ends
    after a few terms: u + u^2/4 + u^3/36 - u^5/3600 + u^7/211680.
    """
    u = ops.softplus(-ops.abs(x))
    square = ops.square(u)
    series = 1 / 36 - square * (1 / 3600 - square / 211680)
    below = u + square / 4 + u * square * series
    above = math.pi**2 / 6 + ops.square(x) / 2 - below
    return ops.where(x > 0, above, below)


def hidden_terms(x, hidden):
    """What the hidden units add to -F(v), a number a unit."""
    return ops.softplus(x) if hidden == "bernoulli" else softplus_integral(x)


def visible_energy(v, b, visible):
    """What the visible units with the biases b have of the energy; shape (batch,)."""
    if visible == "bernoulli":
        return -ops.sum(v * b, axis=-1)
    return ops.sum(ops.square(v - b), axis=-1) / 2


def free_energy(v, x, b, visible, hidden):
    """F(v) for x = c + v W; shape (batch,)."""
    energy = visible_energy(ops.cast(v, "float32"), b, visible)
    return energy - ops.sum(hidden_terms(x, hidden), axis=-1)


def hidden_mean(x, hidden):
    """E[h given v]."""
    return ops.sigmoid(x) if hidden == "bernoulli" else ops.softplus(x)


def hidden_sample(x, noise, hidden):
    """h given v."""
    p = ops.sigmoid(x)
    if hidden == "bernoulli":
        return ops.cast(noise < p, "float32")
    return ops.relu(x + noise * ops.sqrt(p))


def visible_mean(y, visible):
    """E[v given h]."""
    return ops.sigmoid(y) if visible == "bernoulli" else y


def visible_sample(y, noise, visible):
    """v given h."""
    if visible == "bernoulli":
        return ops.cast(noise < ops.sigmoid(y), "float32")
    return y + noise


def units_to_flip(first, noise, rows, visible_units):
    """A visible unit for each row, the rows spread evenly.

    Args:
        first: Number, how many rows of the same sequence have gone before.
        noise: Number in [0, 1), by which the whole sequence is turned.
        rows: Integer.
        visible_units: Integer.
    """
    number = ops.cast(first, "int32") + ops.arange(rows, dtype="int32")
    # The product of integers overflows, which drops the whole turns: a product of
    # floats would lose the fraction after many rows.
    place = ops.cast(number * _GOLDEN, "float32") * 2.0**-32 + noise
    units = ops.cast((place - ops.floor(place)) * visible_units, "int32")
    return ops.minimum(units, visible_units - 1)


def flip_difference(v, x, W, b, units, hidden):
    """F(v with one unit flipped to 1 - v_i) - F(v), for Bernoulli visible units.

    `units` names one unit a row: then it costs no matrix product.
    """
    at = ops.expand_dims(units, -1)
    change = 1 - 2 * ops.take_along_axis(ops.cast(v, "float32"), at, axis=1)
    flipped = x + change * ops.take(W, units, axis=0)
    terms = hidden_terms(flipped, hidden) - hidden_terms(x, hidden)
    return -ops.take(b, units) * change[:, 0] - ops.sum(terms, axis=-1)


def pseudo_log_likelihood(difference, visible_units):
    """n log p(v_i given the others), from a unit's `flip_difference`; one a row."""
    return -visible_units * ops.softplus(-difference)


def base_rates(total, count, visible):
    """The visible biases of a machine without weights that is nearest to data.

        Bernoulli    b = log(p / (1 - p)),  p kept between 1/(2n) and 1 - 1/(2n)
        Gaussian     b = the mean

    Args:
        total: Array, the sum of the data's rows.
        count: Integer n, how many rows there were.
        visible: `"bernoulli"` or `"gaussian"`.

    >>> base_rates(np.array([0.0, 25.0, 50.0]), 100, "bernoulli").tolist()
    [-5.29330..., -1.0986..., 0.0]
    """
    mean = np.asarray(total, "float64") / count
    if visible == "gaussian":
        return mean.astype("float32")
    p = mean.clip(0.5 / count, 1 - 0.5 / count)
    return np.log(p / (1 - p)).astype("float32")
