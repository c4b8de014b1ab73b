"""Layers that learn from the data before training learn it here: `adapt`, in turn.

Normalization, MinMaxNormalization, Discretization, StringLookup and their like have a
method `adapt(data)`. Each gets what it is given in a model, in inference, for all the
training data in the data's order, after those that come before it have learnt. What a
layer is given is seen in a pass through the whole model, so it may be anywhere in it:
in a nested model, in a `Residual`, in a `TimeDistributed`, or in a model of a class of
its own.
"""

import keras
import numpy as np

from keras_dlparts import backend
from keras_dlparts.backend import feeding, keras_private

# Arguments that give a layer what `adapt` would find.
_GIVEN = ("mean", "vocabulary", "bin_boundaries")


def adapt(model, batches):
    """Let each layer of a model that can adapt learn from the training data, once.

    A layer whose values are given, as by `Normalization(mean=..., variance=...)`, keeps
    them, and one that inference does not call is left as it is. With several workers
    each of them goes through all of the data.

    Args:
        model: A built `keras.Model`.
        batches: The training data, `Batches`, or what goes through its own.

    Example:

    >>> import numpy as np
    >>> from keras_dlparts.data import Batches
    >>> layers = [keras.layers.Rescaling(2.0), keras.layers.Normalization()]
    >>> model = keras.Sequential([keras.Input((1,)), keras.Sequential(layers)])
    >>> adapt(model, Batches(np.array([[1.0], [3.0]])))
    >>> keras.ops.convert_to_numpy(layers[1].mean).tolist()
    [[4.0]]
    """
    waiting = [layer for layer in _adapting(model) if not _is_given(layer)]
    if not waiting:
        return
    if hasattr(batches, "still"):  # only ours can be put in order
        batches = batches.still()
    few = keras.tree.map_structure(lambda a: a[:2], next(_inputs(batches)))
    while found := _first(model, waiting, few):
        layer, calls = found
        given = [
            each for x in _inputs(batches) for each in _given(model, layer, calls, x)
        ]
        layer.adapt(
            keras.tree.map_structure(lambda *parts: np.concatenate(parts), *given)
        )
        waiting.remove(layer)


def _inputs(batches):
    return feeding.inputs(batches, None)


def _adapting(layer):
    """The layers in a layer that can adapt; not those that such a layer adapts."""
    seen = {}
    for inner in keras_private.layers_in(layer, include_self=False, recursive=False):
        can = callable(getattr(inner, "adapt", None))
        for each in [inner] if can else _adapting(inner):
            seen[id(each)] = each
    return [*seen.values()]


def _is_given(layer):
    if getattr(layer, "data_init", None) is False:  # it adapts only if it is asked to
        return True
    config = layer.get_config()
    return any(config.get(name) is not None for name in _GIVEN)


class _Enough(BaseException):
    """Ends a pass; no Exception, which Keras would give other words and a new class."""


def _first(model, waiting, x):
    """(the first of `waiting` that a pass calls, how often it calls it), or None.

    The pass ends where another of them is called, for that one has yet to learn.
    """
    called = []

    def watch(layer, call):
        def watched(inputs, *args, **kwargs):
            if called and layer is not called[0]:
                raise _Enough
            called.append(layer)
            return _in_place_of(layer, call, inputs, *args, **kwargs)

        return watched

    try:
        _pass(model, waiting, watch, x)
    except Exception:
        if not called:
            raise
        # What comes after it may refuse what it gives before it has learnt.
    return (called[0], len(called)) if called else None


def _given(model, layer, calls, x):
    """What a layer is given in a pass over `x`, one for each of its calls."""
    given = []

    def watch(layer, call):
        def watched(inputs, *args, **kwargs):
            given.append(keras.tree.map_structure(keras.ops.convert_to_numpy, inputs))
            if len(given) == calls:
                raise _Enough  # what comes after it costs time only
            return _in_place_of(layer, call, inputs, *args, **kwargs)

        return watched

    _pass(model, [layer], watch, x)
    return given


def _in_place_of(layer, call, inputs, *args, **kwargs):
    """An output of a layer that has yet to learn: some refuse to give one."""
    try:
        return call(inputs, *args, **kwargs)
    except Exception:  # of whatever kind it likes
        return keras.tree.map_structure(
            lambda spec: keras.ops.zeros(spec.shape, spec.dtype),
            layer.compute_output_spec(inputs),
        )


def _pass(model, layers, watch, x):
    """A pass in inference with `call` of some layers replaced; it may end early."""
    casts = [layer.autocast for layer in layers]
    try:
        for layer in layers:
            layer.autocast = False  # mixed precision would round what it learns from
        with backend.intercepted(layers, watch):
            model(x, training=False)
    except _Enough:
        pass  # the rest of the pass is not wanted
    finally:
        for layer, cast in zip(layers, casts, strict=True):
            layer.autocast = cast
