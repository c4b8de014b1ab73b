"""The formulas of Bayesian sparsity dropout: what the prior and a window's weights say.

They stand, with what the letters mean, in `bayesian_sparsity_dropout.py`. `keep` is 0
for a weight that is shut down, and above 0 for one that is left.
"""

from keras import ops

_TINY = 1e-30  # against 0 / 0; a normal float32, as denormal ones count as 0


def shrunk(w, a, s, prior, gamma):
    """w / (1 + a/s E[1/tau | w/s]), written so that 0 stays 0."""
    size = ops.abs(w)
    if prior == "jeffreys":
        return w * ops.square(size) / (ops.square(size) + a * s + _TINY)
    return w * size / (size + a * gamma**0.5 + _TINY)


def counted_in(w, n, mean, square):
    """Mean and sum of squared deviations with w as the n-th value (Welford)."""
    square = ops.where(n > 1, square, 0.0)
    new_mean = ops.where(n > 1, mean + (w - mean) / n, w)
    return new_mean, square + (w - mean) * (w - new_mean) * ops.cast(n > 1, w.dtype)


def over_left(values, keep):
    """The mean over the weights left."""
    left = ops.cast(keep > 0, values.dtype)
    return ops.sum(values * left) / ops.maximum(ops.sum(left), 1.0)


def spread_of(variance, keep):
    """s_j of each weight."""
    return ops.sqrt(variance + over_left(variance, keep)) + _TINY


def judged(mean, variance, keep, part, level):
    """1 - part p_j for each weight, 0 for those that are shut down."""
    ratio = ops.abs(mean) / spread_of(variance, keep)
    # Rounded to 0, a weight would count as shut down before `level` says so.
    kept = ops.maximum(1 - part * ops.exp(-0.5 * ops.square(ratio)), _TINY)
    over = ops.logical_or(ratio < level, ops.equal(keep, 0))
    return ops.where(over, 0.0, kept)
