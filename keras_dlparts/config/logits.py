"""Whether a loss takes what the model ends in: probabilities, or logits.

    model ends in         from_logits: false      from_logits: true
    no activation         wrong                   right
    softmax or sigmoid    right                   wrong: it counts twice

TensorFlow takes back a softmax that it sees; JAX and PyTorch do not.
Both wrong pairs train, only badly, so this is said and refuses nothing. How a model
ends is read off its last layer; where that is not known, off what it gives for a few
rows.
"""

import keras
import numpy as np

from keras_dlparts import graphs
from keras_dlparts.backend import keras_private

_PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid")
_CLOSE = 1e-3


def logits_note(model, prediction):
    """What is to be said of a model's loss and its ending; "" if there is nothing.

    Args:
        model: A compiled model.
        prediction: What it gives for a few rows of data.
    """
    from_logits = getattr(model.loss, "from_logits", None)
    if from_logits is None or not keras.ops.is_tensor(prediction):
        return ""
    ending = _activation(model) or _guessed(keras.ops.convert_to_numpy(prediction))
    if from_logits and ending in _PROBABILITIES:
        return (
            f"the model ends in {ending}, and with `from_logits: true` the loss takes "
            "what comes before it. Leave out one of the two"
        )
    if not from_logits and ending == "linear":
        last = "sigmoid" if "Binary" in type(model.loss).__name__ else "softmax"
        return (
            "the model ends in no activation, and the loss takes probabilities. Give "
            f"the loss `from_logits: true`, or end the model in {last}"
        )
    return ""


def _activation(model):
    """The name of the activation that a model's last layer applies, None if unknown."""
    layer = model
    while isinstance(layer, keras.Model):
        if not graphs.has_graph(layer) or len(layer.outputs) != 1:
            return None
        layer = keras_private.history(layer.outputs[0])[0]
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(layer, "activation", None), "__name__", None)


def _guessed(values):
    """How values end that are surely no probabilities, or surely those of a softmax."""
    if values.min() < 0 or values.max() > 1:
        return "linear"
    several = values.ndim > 1 and values.shape[-1] > 1
    if several and np.allclose(values.sum(-1), 1, atol=_CLOSE):
        return "softmax"
    return None
