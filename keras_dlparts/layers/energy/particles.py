"""Persistent chains of a machine, which the replicas of a strategy share.

A replica writes its own rows and leaves the others zero, so that the sum over replicas
is all of them; `share` tells its rows' scale, which that sum may change.
"""

import keras
from keras import ops

from keras_dlparts import backend


def variables(chains, units):
    """(particles, share): the variables that a layer keeps."""
    common = {
        "dtype": "float32",
        "autocast": False,
        "trainable": False,
        "synchronization": "on_read",
        "aggregation": "sum",
    }
    return (
        keras.Variable("zeros", (chains, units), name="particles", **common),
        keras.Variable("ones", (chains, 1), name="share", **common),
    )


def own(particles, share):
    """The rows of this replica."""
    chains, units = particles.shape
    first, rows = _own_rows(chains)
    h, share = map(ops.convert_to_tensor, (particles, share))
    if rows == chains:
        return h
    h = ops.slice(h, (first, 0), (rows, units))
    return h / ops.slice(share, (first, 0), (rows, 1))


def keep(particles, share, h):
    """Put what has become of this replica's rows back."""
    first, rows = _own_rows(particles.shape[0])
    if rows == particles.shape[0]:
        particles.assign(h)
        return
    for variable, mine in ((particles, h), (share, ops.ones((rows, 1), "float32"))):
        others = ops.zeros(variable.shape, "float32")
        variable.assign(ops.slice_update(others, (first, 0), mine))


def _own_rows(chains):
    """Where this replica's particles are: the first row, and how many."""
    replica, count = backend.replica()
    if chains % count:
        raise ValueError(
            f"`chains` must be divisible by the {count} replicas, which share the "
            f"chains. Received: chains={chains}"
        )
    rows = chains // count
    return replica * rows, rows
