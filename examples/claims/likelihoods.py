"""What the claims on likelihoods share: binary images, and log Z by annealing."""

import math
import warnings

import numpy as np
from keras import ops

from examples.claims.data import flat_images

BATCH = 100
SURE = 0.3  # nats: the most steps are taken where the deviation of log Z is above


def flat(data, train=None):
    """Training and test images as rows of grey values in [0, 1], and their labels."""
    found = flat_images(data, train)
    return found.x, found.x_test, found.y, found.y_test


def binarized(grey, random):
    """Each pixel drawn by its grey value."""
    return (random.random(grey.shape, "float32") < grey).astype("float32")


def measured(machine, log_likelihood, x, test, ais_steps):
    """log Z by what the machine learnt from, and the log-likelihood of test images.

    The numbers of steps are tried in turn until one ends without a warning and with a
    deviation that is small. The test images are drawn once, alike for all machines.
    """
    for steps in ais_steps:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimate = machine.log_partition("ais", steps=steps, data=x)
        if not caught and estimate.deviation < SURE:
            break
    shown = binarized(test, np.random.default_rng(0))
    each = ops.convert_to_numpy(log_likelihood(shown, estimate.value))
    return {
        "log_likelihood": float(each.mean()),
        "standard_error_of_rows": float(each.std(ddof=1) / math.sqrt(len(each))),
        "log_partition": float(estimate.value),
        "deviation": estimate.deviation if math.isfinite(estimate.deviation) else None,
        "ais_steps": steps,
        "warned": [str(w.message).split(":")[0] for w in caught],
    }
