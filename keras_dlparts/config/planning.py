"""What training on N replicas holds and moves, by arithmetic; nothing is trained.

    gradients    = trainable parameters x the bytes of their dtype
    activations  = input + outputs of the layers that call no other layer, of a
                   replica's share of the batch, each in its own dtype
    on the wire  = 2 (N - 1) / N x gradients     sent, and as much received, a step
    time         = on the wire / rate of the link in one direction

The wire's formula is that of the ring all-reduce, which no other way of summing beats
in bytes (Patarasuk & Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters
of workstations"). Parameters and the optimizer's state are counted in the built model.

Activations are what a backward pass needs at least; compilers save some of it and
backends take workspace besides. Layers that only give their input another shape hold
nothing. A recurrent layer holds for each time step its gates, as many as its kernels
have columns, and its states. A block that computes itself again (`remat`) holds its
output. Gradients have their variable's dtype: mixed precision halves the activations
and leaves the wire as it is. With gradient accumulation Keras still sums over the
replicas in each step; the accumulators are part of the optimizer's state.
"""

import math

import keras
import numpy as np

from keras_dlparts import backend, graphs
from keras_dlparts.config.assemble import assemble

# Bytes a second in one direction, as the standards and makers name them.
LINKS = {
    "10 Gbit/s Ethernet": 1.25e9,
    "100 Gbit/s Ethernet": 12.5e9,
    "PCIe 4.0 x16": 16e9 * 16 * 128 / 130 / 8,
    "NVLink 4, 18 links": 450e9,
}
_VIEWS = (keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape)
# Counted as one, for they call the layers in them once for many steps.
_WHOLE = (keras.layers.RNN, keras.layers.TimeDistributed)


def ring_bytes(size, replicas):
    """What each replica sends, and receives, to sum `size` bytes over all of them.

    >>> ring_bytes(1000, 2), ring_bytes(1000, 8), ring_bytes(1000, 1)
    (1000, 1750, 0)
    """
    return round(2 * (replicas - 1) / replicas * size)


def activations(model, batch_size, spec=None):
    """[(layer's name, bytes)] of a training pass, the input first.

    Args:
        model: A built `keras.Model`.
        batch_size: Integer.
        spec: What a sample looks like, where the model itself does not know: anything
            with `shape` and `dtype`, or a dict of such.

    >>> net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d")])
    >>> activations(net, batch_size=2)
    [('input', 32), ('d', 24)]
    """
    inputs, called = calls(model, batch_size, spec)
    size = sum(_size(x) for x in keras.tree.flatten(inputs))
    rows = [(call[0].name, _bytes(*call)) for call in called]
    return [("input", size), *rows]


def calls(model, batch_size, spec=None):
    """What a training pass computes, traced and not run.

    Args: as of `activations`.

    Returns: the inputs, and a list of `(layer, its inputs, its outputs)`, tensors
        without values, of the layers that call no other layer.
    """
    if spec is None:
        plain = isinstance(model, keras.Sequential)
        given = model.inputs[0] if plain else model.input
        spec = keras.tree.map_structure(lambda x: x[0], given)
    inputs = keras.tree.map_structure(
        lambda x: keras.KerasTensor((batch_size, *x.shape), x.dtype), spec
    )
    seen = []

    def watch(layer, call):
        alone = isinstance(layer, _WHOLE) or getattr(layer, "remat", False)

        def watched(*args, **kwargs):
            before = len(seen)
            output = call(*args, **kwargs)
            if alone:
                del seen[before:]
            if len(seen) == before and not isinstance(layer, _VIEWS):
                # Of a traced tensor only shape and dtype may be kept.
                seen.append((layer, *map(_shapes, (args[0], output))))
            return output

        return watched

    with backend.intercepted(graphs.layers(model, itself=False), watch):
        backend.traced(lambda x: model(x, training=True), inputs)
    return inputs, seen


def _shapes(tensors):
    return [
        keras.KerasTensor(tuple(t.shape), keras.backend.standardize_dtype(t.dtype))
        for t in keras.tree.flatten(tensors)
        if hasattr(t, "dtype")
    ]


def _bytes(layer, inputs, outputs):
    if isinstance(layer, keras.layers.RNN):
        cell, (batch, steps, *_) = layer.cell, inputs[0].shape
        gates = max((w.shape[-1] for w in cell.weights if w.shape), default=0)
        states = keras.tree.flatten(cell.state_size)
        values = batch * steps * (gates + sum(np.prod(s) for s in states))
        return int(values) * _width(layer.compute_dtype)
    # A trace may not show it: PyTorch's has float32 where a policy is mixed.
    dtypes = [layer.compute_dtype if "float" in y.dtype else y.dtype for y in outputs]
    return sum(
        math.prod(y.shape) * _width(dtype)
        for y, dtype in zip(outputs, dtypes, strict=True)
    )


def _size(tensor):
    return math.prod(tensor.shape) * _width(tensor.dtype)


def _width(dtype):
    dtype = keras.backend.standardize_dtype(dtype)
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _held(variables):
    return sum(_size(variable) for variable in variables)


def planned(experiment, replicas):
    """What `plan` gives, of an experiment."""
    made = assemble(experiment)
    model, optimizer = made.model, made.model.optimizer
    backend.build_optimizer(model)
    batch_size = 1 if made.data is None else made.data.train.batch_size
    share = math.ceil(batch_size / replicas)
    knows = graphs.is_functional(model) or made.data is None
    spec = None if knows else made.data.element_spec[0]
    held = activations(model, share, spec)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # As they are when Keras sums them: in the dtype of the variables.
    gradients = _held(model.trainable_variables)
    on_wire = ring_bytes(gradients, replicas)
    parts = {
        "weight_bytes": _held(model.weights),
        "gradient_bytes": gradients,
        "optimizer_bytes": _held(optimizer.variables),
        "activation_bytes": sum(size for _, size in held),
    }
    return {
        "name": experiment.settings.name,
        "replicas": replicas,
        "batch_size": batch_size,
        "batch_size_per_replica": share,
        "dtype_policy": experiment.settings.dtype_policy,
        "parameters": model.count_params(),
        "trainable_parameters": sum(
            math.prod(v.shape) for v in model.trainable_variables
        ),
        **parts,
        "replica_bytes": sum(parts.values()),
        "activations": sorted(map(list, held), key=lambda row: -row[1])[:10],
        "wire_bytes_per_step": on_wire,
        "steps_per_update": inner.gradient_accumulation_steps or 1,
        "seconds_per_step": {link: on_wire / rate for link, rate in LINKS.items()},
    }
