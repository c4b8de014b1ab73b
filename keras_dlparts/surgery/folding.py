"""Folding: batch normalisation taken into the linear layer before it.

    y = gamma (W x + b - E) / sqrt(Var + epsilon) + beta
    s = gamma / sqrt(Var + epsilon)     W' = W s     b' = (b - E) s + beta
    so that y = W' x + b'

In inference a batch normalisation is one affine map, with the moving averages E, Var.
Ioffe & Szegedy 2015, "Batch normalization", arXiv:1502.03167.
"""

import collections
from typing import Literal

import keras
import numpy as np
from keras import layers as kl

from keras_dlparts import graphs
from keras_dlparts.layers.residual.orders import Chain
from keras_dlparts.layers.residual.residual import Residual
from keras_dlparts.support import progress
from keras_dlparts.surgery.copying import fresh

# Which axis of which weight belongs to the outputs that are scaled.
_FOLDABLE = {
    kl.Dense: ("kernel", -1),
    kl.Conv1D: ("kernel", -1),
    kl.Conv2D: ("kernel", -1),
    kl.Conv3D: ("kernel", -1),
    kl.SeparableConv1D: ("pointwise_kernel", -1),
    kl.SeparableConv2D: ("pointwise_kernel", -1),
    kl.Conv1DTranspose: ("kernel", -2),
    kl.Conv2DTranspose: ("kernel", -2),
    kl.Conv3DTranspose: ("kernel", -2),
    # These have two axes for their outputs: the channels times the multiplier.
    kl.DepthwiseConv1D: ("kernel", (-2, -1)),
    kl.DepthwiseConv2D: ("kernel", (-2, -1)),
}


def fold(model: keras.Model, verbose: Literal["auto", 0, 1] = "auto") -> keras.Model:
    """A model with the same outputs in inference and fewer batch normalisations.

    Each batch normalisation that stands right after a linear layer (Dense,
    convolutions of all kinds) with nothing in between is taken into that layer's
    weights. Nested models, `Residual` and the residual blocks are looked into; a
    block with something folded inside becomes a `Sequential` of its layers.

    Args:
        model: A built Sequential or Functional model, trained or loaded. It stays as
            it is.
        verbose: `"auto"` or 1 to report on standard error each batch normalisation
            that is left, and why; 0 for silence.

    Returns:
        A new `keras.Model`, not compiled. It normalises less than the model did, so
        training it on is another training.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization(),
    ...     keras.layers.ReLU(), keras.layers.BatchNormalization(name="late"),
    ... ])
    >>> [type(layer).__name__ for layer in fold(model).layers]
    ['Dense', 'ReLU', 'BatchNormalization']
    """
    if not graphs.has_graph(model):
        raise TypeError(
            "`model` must be a Sequential or Functional model: the order of another "
            f"one's layers is in its code. Received: {type(model).__name__}"
        )
    if not model.built:
        raise ValueError(
            "`model` must be built, as there are no weights to fold before. "
            f"Received: {model.name!r}; call it on data first"
        )
    folding = _Folding(progress.news(verbose))
    new = folding.new_layer(model)
    if not new.built:
        new.build(model.input_shape)
    for copy in folding.copies:
        copy()
    return new


def _folded(weights, norm):
    """(s, b' - b s): what to multiply the outputs by, and then to add."""
    mean, variance = (
        keras.ops.convert_to_numpy(v).astype("float64")
        for v in (norm.moving_mean, norm.moving_variance)
    )
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * keras.ops.convert_to_numpy(norm.gamma)
    shift = (weights - mean) * scale
    if norm.center:
        shift = shift + keras.ops.convert_to_numpy(norm.beta)
    return scale, shift


def _why_not(layer, norm):
    """Why a batch normalisation cannot be folded into what is before it, or ""."""
    if layer is None:
        return "nothing, or more than one layer, stands right before it"
    kind = type(layer).__name__
    if type(layer) not in _FOLDABLE:
        return f"it comes after a {kind}"
    if layer.activation not in (None, keras.activations.linear):
        return f"the {kind} before it has an activation"
    if getattr(layer, "lora_enabled", False) or getattr(
        layer, "quantization_mode", None
    ):
        return f"the {kind} before it is quantised or has LoRA weights"
    if norm.renorm:
        return "it renormalises"
    rank = norm.input_spec.ndim
    first = getattr(layer, "data_format", None) == "channels_first"
    if norm.axis % rank != (1 if first else rank - 1):
        return f"its axis is not that of the {kind}'s outputs"
    return ""


def _repeated(times, *layers):
    """Why layers cannot be folded that a model uses so many times each, or ""."""
    if any(times[id(layer)] > 1 for layer in layers):
        return "it, or what comes before it, is used more than once"
    return ""


class _Folding:
    """Makes new layers, and notes what weights to copy once they are built."""

    def __init__(self, say):
        self.say = say
        self.copies = []
        self.made = {}

    def new_layer(self, layer):
        """A layer that does the same, with what is inside folded."""
        if id(layer) not in self.made:
            self.made[id(layer)] = self._new_layer(layer)
        return self.made[id(layer)]

    def _new_layer(self, layer):
        if not isinstance(layer, keras.Layer):
            return fresh(layer)
        inner = graphs.layers(layer, itself=False)
        norms = [one for one in inner if isinstance(one, kl.BatchNormalization)]
        if graphs.is_functional(layer):
            return self._functional(layer)
        if graphs.has_graph(layer):
            return self._sequential(layer)
        if norms and isinstance(layer, Chain):
            return keras.Sequential(self.chain(layer.layers), name=layer.name)
        if norms and isinstance(layer, Residual):
            return self._residual(layer)
        for norm in norms:
            kind = type(layer).__name__
            self.say(f"{norm.name!r} is left: it is inside a {kind}")
        new = fresh(layer)
        self.copies.append(lambda: new.set_weights(layer.get_weights()))
        return new

    def chain(self, layers):
        """New layers for layers in a row."""
        new, before = [], None
        times = collections.Counter(map(id, layers))
        for layer, after in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(layer, kl.BatchNormalization):
                reason = _why_not(before, layer) or _repeated(times, before, layer)
                if reason:
                    self.say(f"{layer.name!r} is left: {reason}")
                    new.append(self.new_layer(layer))
            elif isinstance(after, kl.BatchNormalization) and not (
                _why_not(layer, after) or _repeated(times, layer, after)
            ):
                new.append(self._with(layer, after))
            else:
                new.append(self.new_layer(layer))
            before = layer
        return new

    def _sequential(self, model):
        layers = self.chain(model.layers)
        if model.built:
            shape, dtype = model.input_shape, model.input_dtype
            layers.insert(0, keras.Input(batch_shape=shape, dtype=dtype))
        return keras.Sequential(layers, name=model.name)

    def _residual(self, layer):
        shortcut = layer.shortcut
        if shortcut == "layers":
            shortcut = self.chain(layer.shortcut_layers)
        changed = {
            "body": self.chain(layer.body),
            "shortcut": shortcut,
            "zero_init": False,
        }
        new = Residual.from_config({**layer.get_config(), **changed})

        def copy():
            for old_part, new_part in zip(layer.own(), new.own(), strict=True):
                new_part.assign(old_part.numpy())

        self.copies.append(copy)
        return new

    def _functional(self, model):
        folded = self._pairs(model)
        gone = {id(norm) for norm in folded.values()}
        skipped = set()

        def clone(layer):
            if id(layer) in gone:
                skipped.add(layer.name)
                return kl.Identity(name=layer.name)
            if id(layer) in folded:
                return self._with(layer, folded[id(layer)])
            return self.new_layer(layer)

        def call(layer, *arguments, **more):
            if layer.name in skipped:
                return arguments[0]
            return layer(*arguments, **more)

        return keras.models.clone_model(model, clone_function=clone, call_function=call)

    def _pairs(self, model):
        """{id of a linear layer: the norm to fold into it} in a graph of layers."""
        nodes = graphs.nodes(model)
        times = collections.Counter(id(node.operation) for node in nodes)
        pairs = {}
        for node in nodes:
            norm = node.operation
            if not isinstance(norm, kl.BatchNormalization):
                continue
            source = node.sources[0]
            before = source.operation
            reason = _why_not(before, norm)
            if not reason and (len(source.users) > 1 or source.is_output):
                reason = "what comes before it is used elsewhere too"
            reason = reason or _repeated(times, before, norm)
            if reason:
                self.say(f"{norm.name!r} is left: {reason}")
            else:
                pairs[id(before)] = norm
        return pairs

    def _with(self, layer, norm):
        """A new linear layer that does what a layer and its norm do."""
        new = type(layer).from_config({**layer.get_config(), "use_bias": True})

        def copy():
            name, axes = _FOLDABLE[type(layer)]
            bias = keras.ops.convert_to_numpy(layer.bias) if layer.use_bias else 0.0
            scale, shift = _folded(bias, norm)
            for weight in layer.weights:
                if weight.name != "bias":
                    getattr(new, weight.name).assign(weight.numpy())
            kernel = keras.ops.convert_to_numpy(getattr(layer, name))
            shape = [1] * kernel.ndim
            for axis in axes if isinstance(axes, tuple) else (axes,):
                shape[axis] = kernel.shape[axis]
            getattr(new, name).assign(kernel * scale.reshape(shape))
            new.bias.assign(shift)

        self.copies.append(copy)
        return new
