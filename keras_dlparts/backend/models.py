"""Watching a model's layers, and leaving a model as it was."""

import contextlib
import random

import keras
import numpy as np

from keras_dlparts.backend.basics import assign, compiled, name


def up_to_date(model):
    """Let a model's variables hold what `fit` has reached, within an epoch too."""
    if name() == "jax":
        # `fit` trains copies of the variables' values, and goes on with those.
        model.jax_state_sync()


def hold_copies(variables):
    """Let variables hold copies of their values, before a training step that `fit` does
    not know of.

    A step on JAX gives up the arrays that it is given. In the midst of an epoch these
    are `fit`'s own as well, which it goes on with if the data has ended by then.
    """
    if name() == "jax":
        assign(variables, [keras.ops.copy(v) for v in variables])


def build_optimizer(model):
    """Make the optimizer's variables, which `fit` would do later.

    Only the first call does so. A `build` may make new variables in each call, as that
    of Keras' `LossScaleOptimizer` does, and those in use would be lost.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


@contextlib.contextmanager
def unmoved(model):
    """A context after which a model's state is as before, whatever passes it made.

    That is the state of layers (moving averages, seed counters), the metrics, and the
    process-wide random generators. Trainable weights are not put back.
    """
    up_to_date(model)
    variables = [*model.non_trainable_variables, *model.metrics_variables]
    kept = [v.numpy() for v in variables]
    metrics = {*map(id, model.metrics)}
    generators = random.getstate(), np.random.get_state()
    try:
        with _torch_generator_kept():
            yield
    finally:
        random.setstate(generators[0])
        np.random.set_state(generators[1])
        assign(variables, kept)
        for metric in model.metrics:
            if id(metric) not in metrics:  # a loss of several outputs makes them late
                metric.reset_state()


def _torch_generator_kept():
    """A context that puts PyTorch's generator back: Keras' Dropout draws from it."""
    if name() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.random.fork_rng()


def reading(model, function, static=(), key=None):
    """A compiled function of tensors that reads a model's variables as they are now.

    What `function` assigns to them, and draws from the process-wide generators, leaves
    no trace.

    Args:
        model: A built model or layer.
        function: A function of tensors.
        static: Names of its arguments that are no tensors. They are given by name.
        key: Optional name, to keep what was compiled with the model and compile it
            anew only when its variables are others. It must tell all apart that
            `function` depends on, besides the model.
    """
    variables = model.variables
    kept = vars(model).setdefault("_dlparts_readings", {}) if key is not None else {}
    key = key, *map(id, variables)
    if key not in kept:

        def pure(values, *tensors, **more):
            with keras.StatelessScope([*zip(variables, values, strict=True)]):
                return function(*tensors, **more)

        kept[key] = compiled(pure, static)

    def read(*arrays, **more):
        up_to_date(model)
        values = [keras.ops.convert_to_tensor(v) for v in variables]
        arrays = keras.tree.map_structure(keras.ops.convert_to_tensor, arrays)
        with _torch_generator_kept():
            return kept[key](values, *arrays, **more)

    return read


@contextlib.contextmanager
def intercepted(layers, wrap):
    """Replace the `call` of layers by `wrap(layer, call)` inside this context.

    A layer that is given twice is wrapped once.
    """
    layers = [*{id(layer): layer for layer in layers}.values()]
    for layer in layers:
        # Past Keras' `__setattr__`, which takes note of what a layer is given.
        object.__setattr__(layer, "call", wrap(layer, layer.call))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")
