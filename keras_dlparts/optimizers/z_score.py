"""Clipping of spikes: norms far above their running mean (ZClip).

    z = (n - mu) / (sigma + 1e-6)
    t = n                              if z <= threshold
    t = mu + sigma threshold^2 / z     else

    warm-up, the first N steps: no clipping; mu, sigma^2 of those norms
    afterwards, with n' = min(n, t):
    mu      <- alpha mu + (1 - alpha) n'
    sigma^2 <- alpha sigma^2 + (1 - alpha) (n' - mu)^2      with the new mu

Shapes: numbers. Kumar et al. 2025, "ZClip: adaptive spike mitigation for LLM
pre-training", arXiv:2504.02507.
"""

import keras
from keras import ops

from keras_dlparts.optimizers.clipping_rule import ClippingRule
from keras_dlparts.support.checks import check_count, check_number

CASES = {"ZScore": ({"arguments": {"threshold": 1.0, "warmup": 2}},)}


def spike_limit(norm, mean, deviation, threshold):
    """The threshold t for a norm; the norm itself where it is no spike."""
    z = (norm - mean) / (deviation + 1e-6)
    spike = z > threshold
    lowered = mean + deviation * threshold**2 / ops.where(spike, z, 1.0)
    return ops.where(spike, lowered, norm)


@keras.saving.register_keras_serializable("dlparts")
class ZScore(ClippingRule):
    """Clips a gradient whose norm is an outlier among the last ones.

    Ordinary steps are left alone: it is meant for training that is healthy but for
    spikes. The higher the spike, the lower it is cut.

    Args:
        threshold: Float, greater than 0. How many standard deviations above the mean
            a spike begins.
        momentum: Float in `[0, 1)`. The alpha of the running mean and variance.
        warmup: Integer, at least 1. Steps that only measure.

    Example:

    >>> from keras_dlparts.optimizers import Clipped
    >>> optimizer = Clipped(keras.optimizers.Adam(1e-3), by=ZScore())
    """

    def __init__(
        self, threshold: float = 2.5, momentum: float = 0.97, warmup: int = 25
    ):
        self.z_threshold = check_number("threshold", threshold, above=0)
        if not 0 <= momentum < 1:
            raise ValueError(
                f"`momentum` must be in [0, 1). Received: momentum={momentum}"
            )
        self.momentum = momentum
        self.warmup = check_count("warmup", warmup)

    def state(self, shapes):
        return {"seen": 0.0, "mean": 0.0, "variance": 0.0}

    def limit(self, norm, state, learning_rate):
        seen, mean, variance = state["seen"], state["mean"], state["variance"]
        warm = seen < self.warmup
        limit = spike_limit(norm, mean, ops.sqrt(variance), self.z_threshold)
        limit = ops.where(warm, norm, limit)
        # Running in the warm-up (Welford, divided by the count), then exponential.
        weight = ops.where(warm, 1.0 / (seen + 1.0), 1.0 - self.momentum)
        value = ops.minimum(norm, limit)
        new_mean = mean + weight * (value - mean)
        square = (value - new_mean) * ops.where(warm, value - mean, value - new_mean)
        new_variance = variance + weight * (square - variance)
        return limit, {"seen": seen + 1.0, "mean": new_mean, "variance": new_variance}

    def get_config(self):
        return {
            "threshold": self.z_threshold,
            "momentum": self.momentum,
            "warmup": self.warmup,
        }
