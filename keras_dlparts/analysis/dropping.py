"""Which layers drop at random, and how to let them do so outside of training.

A layer counts as dropout-like

- if it says so: `dropout_like = True`, an attribute of the class or a property. That
  is all a plugin's layer needs; `dropout_like = False` takes one out;
- else if it is one of Keras' Dropout, SpatialDropout, AlphaDropout, GaussianDropout,
  GaussianNoise, or a subclass;
- else if it is an attention layer with a rate, ModernHopfield among them, or a
  recurrent layer whose cell has `dropout`, `recurrent_dropout` or `zoneout`; such a
  layer draws for itself.

Layers inside others (nested models, blocks, Bidirectional, MultiHeadAttention) are
found one by one. Batch normalisation and random augmentation of images are not
dropout-like: their training mode is for training. The same holds for those of our
layers whose training mode does more than drop or add noise:
FeatureSpaceAugmentation, NoisyBatchNormalization, GaussianSampling,
BayesianSparsityDropout and the Boltzmann machines.
"""

import keras
import numpy as np
from keras import layers as kl

from keras_dlparts import backend, graphs
from keras_dlparts.backend import keras_private
from keras_dlparts.layers.energy.modern_hopfield import ModernHopfield

_KERAS = (kl.Dropout, kl.AlphaDropout, kl.GaussianDropout, kl.GaussianNoise)
_ATTENTION = (kl.Attention, ModernHopfield)
_RATES = ("dropout", "recurrent_dropout", "zoneout")


def is_dropout_like(layer):
    """Whether a layer drops at random in training, by the rule above.

    >>> is_dropout_like(kl.SpatialDropout1D(0.5)), is_dropout_like(kl.LSTM(2))
    (True, False)
    >>> is_dropout_like(kl.LSTM(2, recurrent_dropout=0.5))
    True
    """
    said = getattr(layer, "dropout_like", None)
    if said is not None:
        return bool(said)
    if isinstance(layer, kl.RNN):
        cells = getattr(layer.cell, "cells", [layer.cell])
        return any(getattr(cell, rate, 0) for cell in cells for rate in _RATES)
    if isinstance(layer, _ATTENTION):
        return layer.dropout > 0
    return isinstance(layer, _KERAS)


def find(model, layers=None):
    """The dropout-like layers of a built model; or those given, checked.

    Args:
        model: A built `keras.Model`.
        layers: None for the rule, or a list of layers of the model or their names.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a keras.Model. Received: {type(model).__name__}"
        )
    if not model.built:
        raise ValueError(
            "`model` must be built, or its layers are not known yet. "
            f"Received: {model.name!r}; call it on data first"
        )
    inner = graphs.layers(model)
    if layers is None:
        found = [layer for layer in inner if is_dropout_like(layer)]
        if not found:
            kinds = {type(layer).__name__ for layer in inner[1:]} - {"InputLayer"}
            raise ValueError(
                "`model` must have a layer that drops at random. Received: "
                f"{model.name!r}, of {', '.join(sorted(kinds))}. A layer of yours that "
                "does counts with `dropout_like = True` in its class, or name it in "
                "`layers`"
            )
        return found
    found = [_named(one, inner) if isinstance(one, str) else [one] for one in layers]
    unknown = [
        given
        for given, named in zip(layers, found, strict=True)
        if not any(layer is one for layer in named for one in inner)
    ]
    if unknown or not found:
        names = dict.fromkeys(layer.name for layer in inner)
        raise ValueError(
            "`layers` must name layers of the model, at least one. Received: "
            f"{unknown or layers}; it has {', '.join(names)}"
        )
    return [*{id(layer): layer for (layer,) in found}.values()]


def _named(name, inner):
    """The layer of that name in a list, or none; nested models may repeat a name."""
    found = [layer for layer in inner if layer.name == name]
    if len(found) > 1:
        raise ValueError(
            f"`layers` must name one layer each. Received: {name!r}, the name of "
            f"{len(found)} layers of the model, in models inside it. Give the layers "
            "themselves"
        )
    return found


def dropping(layers):
    """A context in which these layers work as in training, whatever is said."""

    def as_in_training(layer, call):
        def forced(*arguments, **more):
            if keras_private.takes_training(layer):
                more["training"] = True
            return call(*arguments, **more)

        return forced

    return backend.intercepted(layers, as_in_training)


def reseed(model, seed):
    """Set all random seeds that a model's layers draw from, by one number."""
    generators = keras_private.seed_states(model)
    words = np.random.SeedSequence(seed).generate_state(len(generators) + 1)
    for variable, word in zip(generators, words[1:], strict=True):
        variable.assign(np.array([word >> 1, 0]))  # signed on PyTorch
    backend.seed_globals(int(words[0]))
