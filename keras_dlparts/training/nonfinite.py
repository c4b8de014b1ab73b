"""Find the layer whose output or gradient first went bad."""

import keras
import numpy as np

from keras_dlparts import backend, graphs


def _bad(value):
    """How many elements are NaN or infinite, as text, or None."""
    value = np.asarray(keras.ops.convert_to_numpy(value))
    if value.dtype.kind not in "fcV" and value.dtype.name != "bfloat16":
        return None
    wrong = ~np.isfinite(value.astype("float32"))
    return f"{wrong.sum()} of {wrong.size} elements" if wrong.any() else None


def first_bad(model, x, y, sample_weight=None):
    """What first turns NaN or infinite in one training pass, or None.

    Looked at in the order of the computation: the data, the weights, each layer's
    output, the loss, and then the gradients from the output back. The model is left
    as it was.
    """
    for name, values in (("input", x), ("target", y)):
        for value in keras.tree.flatten(values):
            if value is not None and (count := _bad(value)):
                return f"the {name} data ({count} of the batch)"
    for layer in graphs.leaves(model):
        for weight in layer.weights:
            if count := _bad(weight):
                return f"weight {weight.name!r} of {_named(layer)} ({count})"
    with backend.unmoved(model):
        outputs = []
        with _watched(model, outputs):
            prediction = model(x, training=True)
        for layer, count in outputs:
            if count:
                return f"the output of {_named(layer)} ({count})"
        loss = model.compute_loss(x, y, prediction, sample_weight, training=True)
        if _bad(loss):
            return "the loss, from outputs that are finite"
        _, gradients = backend.gradient(model, x, y, sample_weight)
    bad = {
        id(v): count
        for v, g in zip(model.trainable_variables, gradients, strict=True)
        if g is not None and (count := _bad(g))
    }
    for layer in reversed([layer for layer, _ in outputs]):
        for weight in layer.trainable_weights:
            if id(weight) in bad:
                return f"the gradient of {weight.name!r} of {_named(layer)} " + (
                    f"({bad[id(weight)]})"
                )
    return None


def _named(layer):
    return f"layer {layer.name!r} ({type(layer).__name__})"


def _watched(model, outputs):
    """Note each leaf layer's output as it is computed, in order."""

    def watch(layer, call):
        def watched(*args, **kwargs):
            output = call(*args, **kwargs)
            counts = [_bad(v) for v in keras.tree.flatten(output) if v is not None]
            outputs.append((layer, next(filter(None, counts), None)))
            return output

        return watched

    return backend.intercepted(
        (one for one in graphs.leaves(model) if one.built), watch
    )
