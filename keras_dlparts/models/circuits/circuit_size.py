"""The size of a net as circuits are counted: units, depth, weights."""

import dataclasses
import math

import keras
import numpy as np
from keras import ops

from keras_dlparts import graphs

# What computes nothing of its own: it is part of the layer before it.
_PASSED = (
    keras.layers.InputLayer,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.Softmax,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Identity,
    keras.layers.Dropout,
)
# Operations that only choose numbers, by the names of Keras' classes for them.
_CHOOSING = ("Take", "GetItem")


@dataclasses.dataclass(frozen=True)
class CircuitSize:
    """What a net costs.

    Args:
        units: Integer. The numbers that hidden layers compute for one sample.
        depth: Integer. The hidden layers on the longest way.
        weights: Integer. The weights and biases that are not 0.
    """

    units: int
    depth: int
    weights: int


def size(model: keras.Model) -> CircuitSize:
    """Count the hidden units, hidden layers and weights of a model.

    A layer counts with its activation as one, and so does an operation such as a
    product. The output is no hidden layer. Weights that are 0 are not counted, since a
    circuit has no wire there.

    Args:
        model: A built Sequential or Functional model.

    Example:

    >>> from keras_dlparts.models import circuits
    >>> circuits.size(circuits.parity(8))
    CircuitSize(units=14, depth=3, weights=49)
    """
    if not (isinstance(model, keras.Model) and model.built and graphs.has_graph(model)):
        raise TypeError(
            "`model` must be a built Sequential or Functional model: only there the "
            f"order of layers is known. Received: {model!r}"
        )
    depth, units = {}, 0
    for node in graphs.nodes(model):
        before = max((depth[id(source)] for source in node.sources), default=0)
        computes = not _passes(node.operation)
        depth[id(node)] = before + computes
        # Behind an activation the output is still the output.
        if computes and not _leads_only_out(node):
            units += sum(math.prod(output.shape[1:]) for output in node.outputs)
    weights = sum(
        int(np.count_nonzero(ops.convert_to_numpy(v))) for v in model.trainable_weights
    )
    return CircuitSize(units, max(max(depth.values(), default=0) - 1, 0), weights)


def _passes(operation):
    return isinstance(operation, _PASSED) or type(operation).__name__ in _CHOOSING


def _leads_only_out(node):
    if node.is_output:
        return True
    return bool(node.users) and all(
        _passes(user.operation) and _leads_only_out(user) for user in node.users
    )
