"""Links: the pairs of linear layers between which units may be taken out of a model."""

import collections
from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import layers as kl

from keras_dlparts import graphs
from keras_dlparts.support.quantization import is_whole

_LINEAR = (kl.Dense, kl.Conv1D, kl.Conv2D, kl.Conv3D)
# What works on each channel alone, or only moves positions.
_BETWEEN = (
    kl.Activation,
    kl.AveragePooling1D,
    kl.AveragePooling2D,
    kl.AveragePooling3D,
    kl.BatchNormalization,
    kl.Dropout,
    kl.ELU,
    kl.Flatten,
    kl.GlobalAveragePooling1D,
    kl.GlobalAveragePooling2D,
    kl.GlobalAveragePooling3D,
    kl.GlobalMaxPooling1D,
    kl.GlobalMaxPooling2D,
    kl.GlobalMaxPooling3D,
    kl.LeakyReLU,
    kl.MaxPooling1D,
    kl.MaxPooling2D,
    kl.MaxPooling3D,
    kl.ReLU,
    kl.SpatialDropout1D,
    kl.SpatialDropout2D,
    kl.SpatialDropout3D,
)
_BY_ELEMENT = {
    getattr(keras.activations, name)
    for name in [
        "elu",
        "exponential",
        "gelu",
        "hard_sigmoid",
        "hard_silu",
        "leaky_relu",
        "linear",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "softplus",
        "softsign",
        "tanh",
    ]
}


class Link(NamedTuple):
    """Two linear layers, and what stands between them."""

    first: keras.Layer
    between: list
    second: keras.Layer


def by_unit(kernel, width):
    """The second layer's kernel as (..., places, units, outputs), of as many units as
    the first has: behind a flattening each of them is many inputs."""
    return kernel.reshape(*kernel.shape[:-2], -1, width, kernel.shape[-1])


def links_of(
    model: keras.Model,
    inside: Callable[[keras.Layer], keras.Layer] = lambda layer: layer,
) -> list[Link]:
    """The links of a model that has a graph, in order; those of nested ones are theirs.

    Args:
        model: A built Sequential or Functional model.
        inside: What gives the linear layer that another one wraps.

    Example:

    >>> layers = [kl.Dense(4, name="a"), kl.ReLU(), kl.Dense(2, name="b")]
    >>> (link,) = links_of(keras.Sequential([keras.Input((3,)), *layers]))
    >>> link.first.name, link.second.name
    ('a', 'b')
    """
    nexts = _only_next(model)
    found = []
    for layer in model.layers:
        linear = inside(layer)
        if not (is_linear(linear) and linear.activation in _BY_ELEMENT):
            continue
        between, after = [], nexts.get(id(layer))
        while after is not None and _stands_between(after):
            between.append(after)
            after = nexts.get(id(after))
        single = {id(one) for one in (layer, *between, after)} <= nexts.keys()
        if single and is_linear(inside(after)):
            found.append(Link(layer, between, after))
    return found


def is_linear(layer):
    """Whether a layer is a Dense or convolution layer whose weights are its kernel and
    bias."""
    if type(layer) not in _LINEAR or not is_whole(layer):
        return False
    return isinstance(layer, kl.Dense) or (
        layer.groups == 1 and layer.data_format == "channels_last"
    )


def _stands_between(layer):
    if type(layer) not in _BETWEEN:
        return False
    if isinstance(layer, kl.BatchNormalization):
        return layer.axis % len(layer.output.shape) == len(layer.output.shape) - 1
    if isinstance(layer, kl.Activation):
        return layer.activation in _BY_ELEMENT
    return getattr(layer, "data_format", "channels_last") == "channels_last"


def _only_next(model):
    """{id of an operation that is called once: the one that alone takes its output}."""
    nodes = graphs.nodes(model)
    times = collections.Counter(id(node.operation) for node in nodes)
    found = {}
    for node in nodes:
        if times[id(node.operation)] == 1:
            user = node.only_user
            found[id(node.operation)] = user and user.operation
    return found
