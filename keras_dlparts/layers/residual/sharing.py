"""Which blocks of a deep net compute the same function of their input and variables.

TensorFlow runs them as one traced function, see `backend.traced_once`. The first step
of ResNet-1001, in which its graph is built, then takes a small part of the time. But a
later step takes a few percent longer, and the graph of a net of few blocks is built
soon anyway, so there must be many of them.
"""

from collections import Counter

from keras_dlparts import backend
from keras_dlparts.backend import keras_private

MANY = 50  # blocks alike in a net
_PLAIN = int | float | str | bool | None


def shared_as(layer, inputs):
    """A key that is equal for layers to share a function; None for a layer alone.

    A layer with a mask is alone, as its mask would not get into the function.
    """
    notes = backend.graph_notes()
    net = keras_private.outermost_layer()
    if notes is None or net is None or keras_private.mask_of(inputs) is not None:
        return None
    counted = id(net), type(layer)
    if counted not in notes:
        inside = keras_private.layers_in(net)
        blocks = [each for each in inside if isinstance(each, type(layer))]
        notes[counted] = Counter(map(likeness, blocks))
    key = likeness(layer)
    return key if notes[counted][key] >= MANY else None


def likeness(layer):
    """What a layer, with those in it, computes from its input and its variables.

    Two layers that Keras' or this package's constructors made and whose likeness is
    equal compute the same function. None where one of them is of another make, whose
    attributes may say anything; where a call of a layer was replaced, as by who watches
    it, since it then does more than to compute; and where one is quantized.
    """
    layers = keras_private.layers_in(layer)
    if not all(map(_is_known, layers)):
        return None
    return tuple(map(_settings, layers))


def _is_known(layer):
    made_by = type(layer).__module__.partition(".")[0]
    changed = "call" in vars(layer) or layer.quantization_mode
    return made_by in ("keras", "keras_dlparts") and not changed


def _settings(layer):
    # A name says nothing of what is computed, nor does the seed from which the state of
    # a generator began: that state is a variable.
    plain = {
        key: repr(value)
        for key, value in vars(layer).items()
        if key not in ("name", "seed") and not key.startswith("_") and _is_plain(value)
    }
    function = vars(layer).get("activation")
    policy = layer.dtype_policy.name
    return type(layer), policy, layer.trainable, id(function), tuple(plain.items())


def _is_plain(value):
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)
