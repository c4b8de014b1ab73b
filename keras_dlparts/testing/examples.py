"""A tiny model, compiled, that uses a part of any kind: `example(case)`.

It has one trainable layer in front of the part, so that a gradient must pass
through, and one batch to fit.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend, graphs
from keras_dlparts.optimizers import Clipped
from keras_dlparts.testing.cases import Case


@dataclass
class Example:
    """A compiled model with a part in it, and what to fit it on."""

    model: keras.Model
    x: Any
    y: Any
    callbacks: list


def example(case: Case, batch=None, jit_compile=None, learning_rate=0.1, behind=()):
    """The `Example` of a case. The same weights and batch every time.

    Args:
        case: What to make.
        batch: How many samples, instead of the case's number.
        jit_compile: As for `compile`; by default wherever it can be.
        learning_rate: Where the case brings no optimizer.
        behind: Layers that the model ends with, unless the part is a layer or a model.
    """
    compiled = {"optimizer": keras.optimizers.SGD(learning_rate), "loss": "mse"}
    callbacks = []
    if case.part.kind == "models":
        model = case.make()
        x = Case(case.part, None, {}, *_shape_of(model, case)).inputs(batch)
    elif case.part.kind == "layers":
        model, x = _around_layer(case), case.inputs(batch)
    else:
        part = case.make()
        kernel = {
            case.slot or f"kernel_{name}": part
            for kind, name in (
                ("initializers", "initializer"),
                ("regularizers", "regularizer"),
                ("constraints", "constraint"),
            )
            if kind == case.part.kind
        }
        units = (case.input_shape or (8, 1))[-1]
        model = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, _activation(case), **kernel),
                *([case.works_on()] if case.works_on else []),
                keras.layers.Dense(units, activation="sigmoid"),
                *behind,
            ]
        )
        x = np.random.default_rng(0).normal(size=(batch or 8, 3)).astype("float32")
        compiled |= {
            "optimizers": {"optimizer": part},
            "losses": {"loss": part},
            "metrics": {"metrics": [part]},
        }.get(case.part.kind, {})
        if case.part.kind == "schedules":
            compiled["optimizer"] = keras.optimizers.SGD(part)
        if case.part.kind == "clipping":
            compiled["optimizer"] = Clipped(
                keras.optimizers.SGD(learning_rate), by=part
            )
        if case.part.kind == "callbacks":
            callbacks = [part]
    if type(model).compute_loss is not keras.Model.compute_loss:
        del compiled["loss"]  # the model has a loss of its own
    # PyTorch is not compiled, by Keras neither: it would need a C++ compiler.
    if jit_compile is None:
        jit_compile = backend.can_compile() and all(
            layer.supports_jit for layer in graphs.layers(model)
        )
    model.compile(**compiled, jit_compile=jit_compile)
    return Example(model, x, _targets(model, x), callbacks)


def _activation(case):
    """Of the layer that takes the part: activities may have to be chances."""
    return "sigmoid" if case.slot == "activity_regularizer" else "tanh"


def alone(case: Case):
    """The `Example` of a layer or model with nothing else around it, not compiled.

    Its weights are moved away from those that it starts from.
    """
    if case.part.kind == "models":
        model = case.make()
        x = Case(case.part, None, {}, *_shape_of(model, case)).inputs()
    else:
        inputs, x = _inputs(case), case.inputs()
        model = keras.Model(inputs, case.make()(inputs))
    move(model.weights)
    return Example(model, x, None, [])


def move(variables):
    """Add small numbers, the same ones every time, to variables of floats."""
    random = np.random.default_rng(2)
    for variable in variables:
        if "float" in variable.dtype:  # upwards: a variance stays positive
            variable.assign(variable + random.uniform(0.01, 0.1, variable.shape))


def _inputs(case):
    return case.map_inputs(lambda shape, dtype: keras.Input(shape[1:], dtype=dtype))


def _around_layer(case):
    inputs = _inputs(case)
    activation = "relu" if case.positive else None
    front = keras.tree.map_structure(
        lambda x: (
            keras.layers.Dense(x.shape[-1], activation, use_bias=False)(x)
            if "float" in x.dtype
            else x
        ),
        inputs,
    )
    return keras.Model(inputs, case.make()(front))


def _shape_of(model, case):
    """Input shape and dtype: the case's, or those the model itself declares."""
    if case.input_shape:
        return case.input_shape, case.input_dtype
    shapes = [(4, *tensor.shape[1:]) for tensor in model.inputs]
    one = shapes if isinstance(model.input, list) else shapes[0]
    return one, model.inputs[0].dtype


def _targets(model, x):
    """Zeros and ones of the output's shape, for losses of numbers and of chances."""
    random = np.random.default_rng(1)
    return keras.tree.map_structure(
        lambda y: random.integers(0, 2, ops.shape(y)).astype("float32"),
        model(x, training=False),
    )
