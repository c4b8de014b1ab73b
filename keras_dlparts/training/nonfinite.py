"""Find the layer whose output or gradient first went bad.

`diagnosed` runs the bad epoch of a training again, up to its bad step, and `first_bad`
looks at every layer there.
"""

import keras
import numpy as np

from keras_dlparts import backend, graphs
from keras_dlparts.support.messages import own_words
from keras_dlparts.training.checkpoint import restore, restore_generators


def diagnosed(session, error):
    """A NonFiniteError's words, and what first went bad, as far as that is found.

    A look at the layers may fail itself, by a lack of memory for one: then that is
    said, beside what the look was to explain.

    Args:
        session: The `Session` that met the error.
        error: The `NonFiniteError`.
    """
    try:
        if session.sharing.use == "multi_worker":
            return _where(session, error)
        return _explained(session, error)
    except Exception as failure:
        if isinstance(failure, ValueError):  # a layer refuses its input, and why
            return f"{error}: {own_words(failure)}"
        return (
            f"{error}. The look for where it began failed: "
            f"{type(failure).__name__}: {own_words(failure)}"
        )


def _where(session, error):
    """The bad step, where several workers hold what would be looked at."""
    epoch = session.checkpoints.newest()[0]["epoch"]
    return (
        f"{error} at epoch {epoch + 1}, step {error.step + 1}. Train on one "
        "device, by --distribute none, to be told where it began"
    )


def _explained(session, error):
    """Run the bad epoch again up to its bad step, and look at every layer there.

    From a checkpoint within the epoch, where one is from before the step.
    """
    # A weight that goes bad in one step shows in the loss of the next, and where a
    # call takes many steps only the call's last loss is looked at.
    suspects = error.step - session.steps
    saved = session.checkpoints.newest(
        lambda manifest: manifest["step"] <= max(0, suspects)
    )
    if saved is None:
        return f"{error}. No whole checkpoint is left to look from"
    made = session.made
    epoch, model, batches = saved[0]["epoch"], made.model, made.data.train
    restore(saved, model, made.callbacks)
    # Data that is passed through draws its order from the seeds, when it begins.
    backend.seed_globals(session.settings.seed, epoch)
    batches.epoch = epoch
    if saved[0]["step"]:
        restore_generators(saved)
    found = None
    for step in range(saved[0]["step"], min(error.step + 1, len(batches))):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batches[step])
        if step >= suspects:
            found = first_bad(model, x, y, weight)
        if found:
            break
        class_weight = session.settings.fit.class_weight
        model.train_on_batch(x, y, weight, class_weight=class_weight)
    found = found or first_bad(model, *batches[0][:2])
    where = f"epoch {epoch + 1}, step {step + 1}"
    if found is None:
        return f"{error} at {where}; run again from there, every layer was finite"
    return f"{error} at {where}. What first went bad: {found}"


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
