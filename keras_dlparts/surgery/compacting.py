"""Compacting: units and channels that are dead leave a model, which gets smaller.

A unit j between two linear layers, y = W' g(W x + b) + b', is dead if

    W_j = 0     it is always g(b_j): b' <- b' + W'_j g(b_j), and it is taken out
    W'_j = 0    no unit after it uses it: it is taken out

where g stands for all that works on each channel alone: activations, batch
normalisation, pooling, flattening, dropout. Taking one out may leave others dead.
"""

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from keras_dlparts import graphs
from keras_dlparts.backend import keras_private
from keras_dlparts.surgery.copying import fresh
from keras_dlparts.surgery.links import by_unit, is_linear, links_of
from keras_dlparts.surgery.stripping import check_built, strip


def compact(model: keras.Model) -> keras.Model:
    """A smaller model with the same outputs in inference: dead units are taken out.

    It is stripped first, see `strip`. Between two Dense or convolution layers with only
    activations, batch normalisation, pooling, flattening and dropout in between, units
    and channels are taken out that are constant or that no unit after them uses; the
    constant moves into the next bias. Nested Sequential and Functional models are
    compacted inside. What feeds a sum, several layers, or the output keeps its width,
    and so does what is used more than once, is quantized or has LoRA weights.

    Args:
        model: A built Sequential or Functional model, trained or loaded. It stays as
            it is.

    Returns:
        A new model, not compiled.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), kl.Dense(4, "relu"), kl.Dense(2)])
    >>> kernel = model.layers[0].kernel
    >>> _ = kernel.assign(kernel.numpy() * [1, 0, 0, 1])
    >>> compact(model).layers[0].units
    2
    """
    check_built(model)
    if not graphs.has_graph(model):
        raise TypeError(
            "`model` must be a Sequential or Functional model: the order of another "
            f"one's layers is in its code. Received: {type(model).__name__}; "
            "`keras_dlparts.strip` may do"
        )
    return _compacted(strip(model))


def _compacted(model):
    """A compacted model of a plain one, with its layers' names."""
    weights = _Weights(model)
    while any(weights.shrink(link) for link in weights.links):
        pass
    made = {}

    def clone(layer):
        if id(layer) not in made:
            if graphs.has_graph(layer):
                new = _compacted(layer)
            elif weights.has(layer):
                new = type(layer).from_config(weights.config(layer))
            else:
                new = fresh(layer)
            made[id(layer)] = layer, new
        return made[id(layer)][1]

    if isinstance(model, keras.Sequential):
        start = keras.Input(batch_shape=model.input_shape, dtype=model.input_dtype)
        layers = [start, *map(clone, model.layers)]
        new = keras.Sequential(layers, name=model.name)
    else:
        new = keras.models.clone_model(model, clone_function=clone)
    for layer, copy in made.values():
        if isinstance(layer, keras.Layer) and not graphs.has_graph(layer):
            copy.set_weights(weights.values(layer))
    return new


class _Weights:
    """The weights of a model's linear layers, and which of their units are left.

    Other layers keep all of theirs.
    """

    def __init__(self, model):
        self.links = links_of(model)
        linear = [layer for layer in model.layers if is_linear(layer)]
        self.kernel = {id(a): ops.convert_to_numpy(a.kernel) + 0.0 for a in linear}
        self.bias = {
            id(a): ops.convert_to_numpy(a.bias).astype("float64")
            if a.use_bias
            else np.zeros(a.kernel.shape[-1])
            for a in linear
        }
        # The inputs and outputs that a layer keeps.
        self.outputs = {id(a): np.ones(a.kernel.shape[-1], bool) for a in linear}
        self.inputs = {id(a): np.ones(a.kernel.shape[-2], bool) for a in linear}
        self.norms = {
            id(layer): self.outputs[id(link.first)]
            for link in self.links
            for layer in link.between
            if isinstance(layer, kl.BatchNormalization)
        }

    def shrink(self, link):
        """Take out what is dead between two layers; whether there was something."""
        first, second = id(link.first), id(link.second)
        kernel, after = self.kernel[first], self.kernel[second]
        left, width = self.outputs[first], kernel.shape[-1]
        silent = ~kernel.any(axis=tuple(range(kernel.ndim - 1)))
        rows = by_unit(after, width)
        unheard = ~rows.any(axis=(*range(rows.ndim - 2), rows.ndim - 1))
        if not (left & (unheard | silent)).any():
            return False
        # What each input of the second layer sees where the units give constants.
        seen = self._constant(link).reshape(-1, after.shape[-2])
        even = np.ptp(seen, axis=0) <= 1e-6 * np.abs(seen).max(axis=0)
        if not isinstance(link.second, kl.Dense) and link.second.padding != "valid":
            even &= seen[0] == 0  # at the rim it sees zeros in place of the constant
        told = left & silent & ~unheard & even.reshape(-1, width).all(axis=0)
        dead = left & (unheard | told)
        dead[np.flatnonzero(left)[0]] &= not dead[left].all()  # no layer without units
        if not dead.any():
            return False
        said = seen[0] * np.tile(told & dead, len(seen[0]) // width)
        self.bias[second] += said @ after.reshape(-1, *after.shape[-2:]).sum(axis=0)
        kernel[..., dead], self.bias[first][dead] = 0, 0
        rows[..., dead, :] = 0
        self.kernel[second] = rows.reshape(after.shape)
        left &= ~dead
        self.inputs[second] = np.tile(left, rows.shape[-3])
        return True

    def _constant(self, link):
        """What comes out between the layers if each unit of the first is its bias."""
        shape = [size or 32 for size in link.first.output.shape[1:-1]]
        bias = self.bias[id(link.first)]
        x = np.broadcast_to(bias, (1, *shape, len(bias))).astype("float32")
        x = link.first.activation(ops.convert_to_tensor(x))
        for layer in link.between:
            takes = keras_private.takes_training(layer)
            x = layer(x, training=False) if takes else layer(x)
        return ops.convert_to_numpy(x).astype("float64")

    def has(self, layer):
        """Whether it is one of the linear layers."""
        return id(layer) in self.outputs

    def config(self, layer):
        """The config of a linear layer with the units that are left."""
        units = "units" if isinstance(layer, kl.Dense) else "filters"
        return {
            **layer.get_config(),
            units: int(self.outputs[id(layer)].sum()),
            "use_bias": layer.use_bias or bool(self.bias[id(layer)].any()),
        }

    def values(self, layer):
        """Its weights, as `set_weights` takes them."""
        if id(layer) in self.norms:
            left = self.norms[id(layer)]
            return [value[left] for value in layer.get_weights()]
        if not self.has(layer):
            return layer.get_weights()
        inputs, outputs = self.inputs[id(layer)], self.outputs[id(layer)]
        values = [self.kernel[id(layer)][..., inputs, :][..., outputs]]
        bias = self.bias[id(layer)][outputs]
        return [*values, bias] if layer.use_bias or bias.any() else values
