"""Stripping: a plain Keras model out of one whose layers' kernels are computed.

    BayesianSparsityDropout(layer)      ->  layer with the kernel E[W z], zeros in place
    SpectralWeightNormalization(layer)  ->  layer with the kernel W / sigma
    WeightNormalization(layer)          ->  layer with the kernel g v / ||v||

The model's config is rewritten, so whatever a config describes is stripped: Sequential
and Functional models, nested ones, and layers that hold layers.
"""

import keras

from keras_dlparts import graphs
from keras_dlparts.layers.normalization.spectral_weight_normalization import (
    SpectralWeightNormalization,
)
from keras_dlparts.layers.normalization.weight_normalization import (
    WeightNormalization,
)
from keras_dlparts.layers.sparsity.bayesian_sparsity_dropout import (
    BayesianSparsityDropout,
)

_WRAPPERS = (
    BayesianSparsityDropout,
    SpectralWeightNormalization,
    WeightNormalization,
)
_NAMES = [*map(keras.saving.get_registered_name, _WRAPPERS)]


def strip(model: keras.Model) -> keras.Model:
    """The plain Keras model with the same outputs in inference, and the zeros in place.

    Args:
        model: A built model with `layers.BayesianSparsityDropout`,
            `layers.SpectralWeightNormalization` or `layers.WeightNormalization`
            anywhere inside, trained or loaded. It stays as it is. A subclassed model is
            stripped if its `get_config` holds its layers.

    Returns:
        A new model of the same kind, not compiled, that needs no part of this library
        for its kernels. A stripped layer has the name of its wrapper.

    Example:

    >>> from keras_dlparts.layers import BayesianSparsityDropout
    >>> wrapped = BayesianSparsityDropout(keras.layers.Dense(2), name="last")
    >>> model = keras.Sequential([keras.Input((3,)), wrapped])
    >>> strip(model).layers
    [<Dense name=last, built=True>]
    """
    check_built(model)
    layers = graphs.layers(model)
    _check_repeated(layers)
    config = keras.saving.serialize_keras_object(model)
    # Keras finds its own classes better by itself: its layer `Add` is not its operation
    # `Add`, which is registered by that name.
    classes = {
        keras.saving.get_registered_name(type(layer)): type(layer)
        for layer in layers
        if type(layer).__module__.split(".")[0] != "keras"
    }
    # The config is of code that is running here already.
    new = keras.saving.deserialize_keras_object(
        _stripped(config), custom_objects=classes, safe_mode=False
    )
    if not new.built:
        new.build_from_config(model.get_build_config())
    left = [layer for layer in graphs.layers(new) if _is_wrapper(layer)]
    if left or not new.built:
        what = f"{left[0].name!r} is made in code" if left else "it cannot be built"
        raise TypeError(
            "`model` must describe its layers in its config: only there can they be "
            f"replaced. Received: a {type(model).__name__}, where {what}. Give it a "
            "`get_config` that holds its layers, or rebuild it with the plain layers "
            "and set their weights, `plain_weights()` of each wrapper"
        )
    wrappers = [layer for layer in layers if _is_wrapper(layer)]
    notes = {id(v) for wrapper in wrappers for v in wrapper.notes()}
    kernels = {}
    for wrapper in wrappers:
        kernels |= wrapper.plain_weights()
    values = [
        keras.ops.convert_to_numpy(kernels.get(id(v), v))
        for v in model.weights
        if id(v) not in notes
    ]
    new.set_weights(values)
    return new


def check_built(model):
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a keras.Model. Received: {type(model).__name__}"
        )
    if not model.built:
        raise ValueError(
            "`model` must be built, as there are no weights before. "
            f"Received: {model.name!r}; call it on data first"
        )


def _check_repeated(layers):
    for model in layers:
        if isinstance(model, keras.Sequential):
            names = [layer.name for layer in model.layers]
            twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            if twice:
                raise ValueError(
                    "A Sequential model must not hold a layer twice: its config does "
                    "not say that both are one. Received: "
                    f"{', '.join(map(repr, twice))}, more than once in {model.name!r}. "
                    "Make it a Functional model, which may call a layer again"
                )


def _is_wrapper(layer):
    return isinstance(layer, _WRAPPERS)


def _stripped(config):
    """A config with each wrapper's node replaced by that of the layer inside."""
    if isinstance(config, list | tuple):
        return [_stripped(item) for item in config]
    if not isinstance(config, dict):
        return config
    if config.get("registered_name") in _NAMES:
        own, inner = config["config"], config["config"]["layer"]
        name = {"name": own["name"], "trainable": own["trainable"]}
        config = {**config, **inner, "config": {**inner["config"], **name}}
    return {
        key: _stripped(value)
        for key, value in config.items()
        if key != "compile_config"
    }
