"""The likelihood of a variational autoencoder, by importance weighting.

    w_s = p(x | z_s) p(z_s) / q(z_s | x),   z_s ~ q(z | x),   s = 1 .. S
    log p(x) ~ log 1/S sum_s w_s            at most log p(x) in expectation

The estimate of a row has about the variance Var(w) / (S mean(w)^2). Shapes: log w
(S, rows) -> (rows,).
Burda et al. 2016, "Importance weighted autoencoders", arXiv:1509.00519.
"""

import warnings
from typing import NamedTuple

import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import feeding
from keras_dlparts.layers.reconstruction.gaussian_sampling import drawn
from keras_dlparts.models.reconstruction.likelihoods import log_normal

_ROWS = 4000  # codes that are decoded at once
_FEW = 1.5


class LogLikelihood(NamedTuple):
    """Mean log p(x) of rows, in nats, the standard deviation that it has by the draws
    of codes, and log p of each row.

    How much the rows differ says how well another sample of rows would do:
    `rows.std() / len(rows) ** 0.5`.
    """

    value: float
    deviation: float
    rows: np.ndarray


def log_likelihood(model, x, samples, batch_size):
    """The `LogLikelihood` of the rows of an array under a variational autoencoder."""

    def log_weights(x, seed, count):
        """log w of `count` codes of each row, `(count, rows)`."""
        h = model.encoder(x, training=False)
        m, log_variance = (
            ops.cast(each, "float32") for each in model.sampling.moments(h)
        )
        noise = backend.draw("normal", (count, *ops.shape(m)), seed)
        z = drawn(m, log_variance, noise)
        gap = log_normal(z) - log_normal(z, m, log_variance)
        codes = ops.reshape(z, (-1, m.shape[-1]))
        y = model.decoder(codes, training=False)
        repeated = ops.tile(x, (count, *(1 for _ in x.shape[1:])))
        fit = model.misfit(repeated, y)
        return gap - ops.reshape(fit, (count, -1))

    compiled = backend.reading(model, log_weights, ("count",), key="log_weights")
    found, weights = [], []
    for batch in feeding.inputs(x, batch_size):
        batch = model.target(batch)
        chunk = max(1, min(samples, _ROWS // batch.shape[0]))
        parts = []
        for start in range(0, samples, chunk):
            seed = model.sampling.seed_generator.next()
            count = min(chunk, samples - start)
            parts.append(ops.convert_to_numpy(compiled(batch, seed, count=count)))
        log_w = np.concatenate(parts).astype("float64")
        most = log_w.max(axis=0)
        w = np.exp(log_w - most)
        found.append(most + np.log(w.mean(axis=0)))
        weights.append(
            (w.var(axis=0) / w.mean(axis=0) ** 2, w.sum(0) ** 2 / (w**2).sum(0))
        )
    rows = np.concatenate(found)
    relative, effective = (np.concatenate(each) for each in zip(*weights, strict=True))
    if samples > 1 and np.median(effective) < _FEW:
        warnings.warn(
            "In half of the rows one code has nearly all the weight, so that their "
            f"likelihood is too low. Received: samples={samples}; take more",
            stacklevel=3,
        )
    deviation = np.sqrt(np.sum(relative / samples)) / len(rows)
    return LogLikelihood(float(rows.mean()), float(deviation), rows)
