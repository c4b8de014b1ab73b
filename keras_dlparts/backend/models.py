"""Watching a model's layers, and leaving a model as it was."""

import contextlib
import random

import numpy as np

from keras_dlparts.backend.basics import assign, name


def up_to_date(model):
    """Let a model's variables hold what `fit` has reached, within an epoch too."""
    if name() == "jax":
        model.jax_state_sync()  # `fit` trains on copies, and takes these up again


@contextlib.contextmanager
def unmoved(model):
    """Put back what training passes inside this context move.

    That is the state of layers (moving averages, seed counters), the metrics, and the
    process-wide generators; the trainable weights are nobody's business here.
    """
    up_to_date(model)
    variables = [*model.non_trainable_variables, *model.metrics_variables]
    kept = [v.numpy() for v in variables]
    generators = random.getstate(), np.random.get_state()
    try:
        with _torch_generator_kept():
            yield
    finally:
        random.setstate(generators[0])
        np.random.set_state(generators[1])
        assign(variables, kept)


def _torch_generator_kept():
    """Keras' Dropout draws from PyTorch's own generator, whatever its seed."""
    if name() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.random.fork_rng()


@contextlib.contextmanager
def intercepted(layers, wrap):
    """Replace the `call` of layers by `wrap(layer, call)` inside this context."""
    layers = [*layers]
    for layer in layers:
        # Past Keras' attribute tracking: the layer itself is not to change.
        object.__setattr__(layer, "call", wrap(layer, layer.call))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")
