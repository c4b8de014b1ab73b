"""How well an autoencoder's output explains its input: what the decoder's output means.

    mse         x^ = y            mean_d (x_d - y_d)^2                   a mean
    bernoulli   x^ = sigmoid(y)   sum_d softplus(y_d) - x_d y_d          in nats
    gaussian    x^ = y            sum_d (x_d - y_d)^2 / (2 s^2) + log s + log(2 pi) / 2

y is what the decoder gives. The last two are -log p(x | code); s is one learnt number.
Shapes: x and y (batch, ...) -> (batch,).
"""

import math

from keras import ops

LIKELIHOODS = ("mse", "bernoulli", "gaussian")


def means(likelihood, y):
    """x^ of a decoder's output."""
    return ops.sigmoid(y) if likelihood == "bernoulli" else y


def misfit(likelihood, x, y, log_deviation=None):
    """The reconstruction loss of each row: -log p(x | code), or the mean square.

    Args:
        likelihood: One of `LIKELIHOODS`.
        x: The input, float32.
        y: What the decoder gives, float32.
        log_deviation: log s, of `"gaussian"`.
    """
    axes = tuple(range(1, len(x.shape)))
    if likelihood == "mse":
        return ops.mean(ops.square(x - y), axis=axes)
    if likelihood == "bernoulli":
        return ops.sum(ops.softplus(y) - x * y, axis=axes)
    scaled = ops.square((x - y) * ops.exp(-log_deviation))
    constant = log_deviation + 0.5 * math.log(2 * math.pi)
    return ops.sum(0.5 * scaled + constant, axis=axes)


def log_normal(z, mean=None, log_variance=None):
    """log N(z; mean, exp(log_variance)) of each row, by default of N(0, I)."""
    square, spread = ops.square(z), 0.0
    if mean is not None:
        square = ops.square(z - mean) * ops.exp(-log_variance)
        spread = log_variance
    each = -0.5 * (square + spread + math.log(2 * math.pi))
    return ops.sum(each, axis=-1)
