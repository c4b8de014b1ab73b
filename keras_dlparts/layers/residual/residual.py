"""A residual sum around any layers, with every shortcut of the literature.

    y = a * s(x) + b * F(x)                F: the body

    shortcut      s(x)                 a                b
    identity      x                    1                1
    scale         x                    shortcut_scale   branch_scale
    gate          x                    1 - g            g, or 1 (gate_branch=False)
                                       g = sigmoid(W x + b), b = gate_bias at first
    projection    W x, a 1x1 conv      1                1
    dropout       dropout(x)           1                1
    pad           x strided, zeros for 1                1
                  the new channels
    none          -                    0                1       the plain net

With `learn_scale` F(x) is also multiplied by a learnt number, with
`stochastic_depth` it is dropped for random samples in training.
Shapes: x (batch, ..., channels) -> y, the shape of F(x). Training and inference
differ only where the body, `dropout` and `stochastic_depth` do.
He et al. 2016, "Identity mappings in deep residual networks", arXiv:1603.05027.
"""

from collections.abc import Sequence
from typing import Literal

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.residual.shortcuts import (
    channel_axis,
    combine,
    linear,
    reachable,
    stride_and_pad,
    strides,
)
from keras_dlparts.layers.residual.stochastic_depth import StochasticDepth
from keras_dlparts.support.checks import check_flag, check_number, check_rate
from keras_dlparts.support.quantization import MakesLayers

SHORTCUTS = ("identity", "scale", "gate", "projection", "dropout", "pad", "none")


CASES = {
    "Residual": (
        {
            "arguments": lambda folder: {
                "body": [keras.layers.Dense(5, "tanh"), keras.layers.Dense(4)],
                "shortcut": "dropout",
                "stochastic_depth": 0.5,
                "seed": 1,
            },
            "input_shape": (16, 4),
            "still": {"shortcut": "identity", "stochastic_depth": 0.0},
        },
        {
            "arguments": lambda folder: {
                "body": [keras.layers.LSTM(3, return_sequences=True)],
                "shortcut": "gate",
                "gate_bias": -1.0,
                "learn_scale": 0.1,
            },
            "input_shape": (2, 4, 3),
        },
        {
            "arguments": lambda folder: {
                "body": keras.layers.Conv2D(6, 3, strides=2, padding="same"),
                "shortcut": "projection",
            },
            "input_shape": (2, 4, 5, 3),
        },
    )
}


_LARGE = 3840  # which many strides divide


def layer_list(value, argument):
    """One layer or several, given as layers or as their configs, as a list."""
    items = value if isinstance(value, list | tuple) else [value]
    items = [
        keras.saving.deserialize_keras_object(item) if isinstance(item, dict) else item
        for item in items
    ]
    if not items or not all(isinstance(item, keras.layers.Layer) for item in items):
        raise TypeError(
            f"`{argument}` must be a layer or a list of layers, at least one. "
            f"Received: {argument}={value!r}"
        )
    return items


def output_shape(layers, shape):
    """What shape comes out of layers in a row."""
    for layer in layers:
        shape = layer.compute_output_shape(shape)
    return tuple(shape)


def build_all(layers, shape):
    """Build layers in a row, each on what comes out of the one before."""
    for layer in layers:
        if not layer.built:
            layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return tuple(shape)


def zero_last(layers):
    """Let the last layer with a gain or a kernel begin with zeros."""
    for layer in reversed(layers):
        holder = getattr(layer, "cell", layer)
        for name in ("gamma_initializer", "kernel_initializer"):
            has_gain = name.startswith("kernel") or getattr(holder, "scale", True)
            if getattr(holder, name, None) is None or not has_gain:
                continue
            if layer.built:
                raise ValueError(
                    "`zero_init=True` needs a body that is not built yet, or its "
                    f"weights stay as they are. Received: {layer.name!r}, which is "
                    "built"
                )
            setattr(holder, name, keras.initializers.Zeros())
            return
    raise ValueError(
        "`zero_init=True` needs a layer in `body` with a `gamma_initializer` or a "
        f"`kernel_initializer`. Received: {[type(layer).__name__ for layer in layers]}"
    )


@keras.saving.register_keras_serializable("dlparts")
class Residual(MakesLayers, keras.layers.Layer):
    """Any layers as a branch, and a shortcut around them: `y = s(x) + F(x)`.

    Args:
        body: A layer or a list of layers in a row: F.
        shortcut: One of `"identity"`, `"scale"`, `"gate"`, `"projection"`,
            `"dropout"`, `"pad"`, `"none"`; see the table above. Where the body
            changes the shape, `"projection"` and `"pad"` change the shortcut's
            too. Or a layer or list of layers that makes the shortcut from x.
        shortcut_scale: Float. What `"scale"` multiplies the shortcut by.
        branch_scale: Float. What `"scale"` multiplies the branch by.
        gate_branch: Whether `"gate"` is exclusive, so that the branch gets g and
            the shortcut 1 - g. If not, the branch gets 1.
        gate_bias: Float. What the gate's bias starts from; the lower, the more of
            the shortcut passes.
        dropout: Float, `0 <= dropout < 1`. The drop rate of `"dropout"`.
        stochastic_depth: Float, `0 <= stochastic_depth < 1`. The chance that the
            branch is dropped for a sample in training.
        zero_init: Whether the last gain or kernel of the body starts from zero, so
            that F(x) = 0 at first.
        learn_scale: What a learnt number that multiplies the branch starts from;
            None for no such number. 0 is ReZero.
        seed: Optional integer, for draws of `dropout` and `stochastic_depth` that
            repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., channels)`. Under
            `keras.config.set_image_data_format("channels_first")` the channels of
            images come first.
        training: Boolean. Handed to the body, and what dropping depends on.

    Output shape: that of the body. Masks pass if all layers of the body pass them.

    Example:

    >>> import keras, numpy as np
    >>> layer = Residual([keras.layers.Dense(8, "relu"), keras.layers.Dense(4)])
    >>> layer(np.ones((2, 4))).shape == (2, 4)
    True
    >>> layer = Residual(keras.layers.Dense(4), zero_init=True)
    >>> keras.ops.convert_to_numpy(layer(np.ones((1, 4)))).tolist()
    [[1.0, 1.0, 1.0, 1.0]]

    Reference: He et al. 2016, https://arxiv.org/abs/1603.05027
    """

    def __init__(
        self,
        body: keras.layers.Layer | Sequence[keras.layers.Layer],
        shortcut: Literal[
            "identity", "scale", "gate", "projection", "dropout", "pad", "none"
        ]
        | keras.layers.Layer
        | Sequence[keras.layers.Layer] = "identity",
        shortcut_scale: float = 1.0,
        branch_scale: float = 1.0,
        gate_branch: bool = True,
        gate_bias: float = -6.0,
        dropout: float = 0.5,
        stochastic_depth: float = 0.0,
        zero_init: bool = False,
        learn_scale: float | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.body = layer_list(body, "body")
        if isinstance(shortcut, str):
            if shortcut not in SHORTCUTS:
                raise ValueError(
                    f"`shortcut` must be one of {', '.join(map(repr, SHORTCUTS))}, or "
                    f"layers. Received: shortcut={shortcut!r}"
                )
            self.shortcut, self.shortcut_layers = shortcut, []
        else:
            self.shortcut = "layers"
            self.shortcut_layers = layer_list(shortcut, "shortcut")
        if shortcut == "none" and (stochastic_depth or learn_scale is not None):
            raise ValueError(
                "Without a shortcut, `stochastic_depth` and `learn_scale` leave "
                "nothing where they drop the branch; give them only with one. "
                f"Received: stochastic_depth={stochastic_depth}, "
                f"learn_scale={learn_scale}"
            )
        for name, value in (
            ("shortcut_scale", shortcut_scale),
            ("branch_scale", branch_scale),
            ("gate_bias", gate_bias),
        ):
            check_number(name, value)
        if learn_scale is not None:
            check_number("learn_scale", learn_scale)
        check_flag("gate_branch", gate_branch)
        check_flag("zero_init", zero_init)
        check_rate("dropout", dropout)
        if zero_init:
            zero_last(self.body)
        self.shortcut_scale = shortcut_scale
        self.branch_scale = branch_scale
        self.gate_branch = gate_branch
        self.gate_bias = gate_bias
        self.dropout = dropout
        self.stochastic_depth = stochastic_depth
        self.zero_init = zero_init
        self.learn_scale = learn_scale
        self.seed = seed
        self.gate = self.scale = self.strides = None
        # Made also for a rate of 0, and so a rate out of range is told here.
        drop = StochasticDepth(stochastic_depth, seed, dtype=self.dtype_policy)
        self.drop = drop if stochastic_depth else None
        if self.shortcut == "dropout":
            drop = keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy)
            self.shortcut_layers = [backend.own_draws(drop)]
        inner = [*self.body, *self.shortcut_layers]
        self.supports_masking = all(layer.supports_masking for layer in inner)

    def build(self, input_shape):
        shape = build_all(self.body, input_shape)
        if self.shortcut in ("projection", "pad"):
            # Where sizes are not known, the strides are those of large ones.
            large = tuple(_LARGE if size is None else size for size in input_shape[1:])
            shapes = (None, *large), output_shape(self.body, (None, *large))
            self._check(input_shape, shape, shapes)
            if self.shortcut == "pad":
                self.strides = strides(*shapes)
            else:
                self.shortcut_layers = [
                    linear(*shapes, name="projection", dtype=self.dtype_policy)
                ]
        self._check(build_all(self.shortcut_layers, input_shape), shape)
        if self.shortcut == "gate":
            self.gate = linear(
                shape,
                shape,
                activation="sigmoid",
                bias_initializer=keras.initializers.Constant(self.gate_bias),
                name="gate",
                dtype=self.dtype_policy,
            )
            self.gate.build(shape)
        if self.learn_scale is not None:
            self.scale = self.add_weight(
                name="scale",
                shape=(),
                initializer=keras.initializers.Constant(self.learn_scale),
            )
        self.quantize_again()

    def made(self):
        """The layers that are made here: of the gate, and of a shortcut by name."""
        shortcut = [] if self.shortcut == "layers" else self.shortcut_layers
        return [*shortcut, *([self.gate] if self.gate else [])]

    def _check(self, shape, new_shape, with_sizes=None):
        """Refuse a shortcut that does not lead to the body's shape; both may be told
        once more with a size where it is not known."""
        if reachable(*(with_sizes or (shape, new_shape)), self.shortcut):
            return
        remedy = "let the body keep the shape"
        if len(shape) == len(new_shape) and self.shortcut not in ("projection", "pad"):
            fits = [s for s in ("projection", "pad") if reachable(shape, new_shape, s)]
            words = " or ".join(f'shortcut="{word}"' for word in fits)
            remedy += f", or use {words}" if fits else ""
        raise ValueError(
            f"The shortcut and the body of {self.name!r} must agree in shape to be "
            f"added. Received: shortcut={self.shortcut!r} of shape {tuple(shape)} and "
            f"a body of shape {tuple(new_shape)}; {remedy}."
        )

    def call(self, inputs, training=None):
        f = inputs
        for layer in self.body:
            f = layer(f)
        # The layers of the body may compute in another dtype than this layer.
        f = ops.cast(f, self.compute_dtype)
        if self.shortcut == "none":
            return f
        if self.scale is not None:
            f = f * ops.cast(self.scale, f.dtype)
        if self.drop is not None:
            f = self.drop(f)
        return self._add(inputs, f)

    def _add(self, x, f):
        for layer in self.shortcut_layers:
            x = layer(x)
        x = ops.cast(x, self.compute_dtype)
        if self.shortcut == "scale":
            return combine(x, f, self.shortcut_scale, self.branch_scale)
        if self.shortcut == "gate":
            g = self.gate(x)
            return combine(x, f, 1 - g, g if self.gate_branch else None)
        if self.shortcut == "pad":
            axis = channel_axis(len(f.shape))
            x = stride_and_pad(x, self.strides, f.shape[axis], axis)
        return combine(x, f)

    def own(self):
        """The weights that are neither the body's nor of a shortcut given as layers."""
        weights = [weight for layer in self.made() for weight in layer.weights]
        return [*weights, *([] if self.scale is None else [self.scale])]

    def compute_output_shape(self, input_shape):
        return output_shape(self.body, input_shape)

    def get_config(self):
        shortcut = self.shortcut
        if shortcut == "layers":
            shortcut = keras.saving.serialize_keras_object(self.shortcut_layers)
        return {
            **super().get_config(),
            "body": keras.saving.serialize_keras_object(self.body),
            "shortcut": shortcut,
            "shortcut_scale": self.shortcut_scale,
            "branch_scale": self.branch_scale,
            "gate_branch": self.gate_branch,
            "gate_bias": self.gate_bias,
            "dropout": self.dropout,
            "stochastic_depth": self.stochastic_depth,
            "zero_init": self.zero_init,
            "learn_scale": self.learn_scale,
            "seed": self.seed,
        }
