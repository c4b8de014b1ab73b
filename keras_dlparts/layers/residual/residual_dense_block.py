"""A residual block of dense layers, in the orders of the residual convolutions.

    y = x + F(x)     F: two Dense layers with norms and activations

The order of norm and activation around the Dense layers W is `ResidualBlock`'s:
"original" is W norm act W norm, sum, act; "full_preactivation" norm act W norm act
W, sum. With `dropout`, what enters the second Dense layer is dropped.
Shapes: x (batch, ..., features) -> y (batch, ..., units). Training and inference
differ in batch normalisation and dropout.
He et al. 2016, "Identity mappings in deep residual networks", arXiv:1603.05027.
"""

from collections.abc import Callable
from typing import Any, Literal

import keras

from keras_dlparts import backend
from keras_dlparts.layers.residual.orders import ORDERS, Chain, arranged
from keras_dlparts.layers.residual.residual import SHORTCUTS
from keras_dlparts.support.checks import (
    check_count,
    check_flag,
    check_rate,
    check_word,
)

NORMS = {
    "batch": keras.layers.BatchNormalization,
    "layer": keras.layers.LayerNormalization,
}
CASES = {
    "ResidualDenseBlock": (
        {
            "arguments": {
                "units": 5,
                "order": "full_preactivation",
                "norm": "layer",
                "dropout": 0.5,
                "resize": "pad",
                "seed": 1,
            },
            "input_shape": (3, 4),
            "still": {"dropout": 0.0},
            "not_exported": {
                "torch onnx": "PyTorch's exporter takes no layer normalisation with "
                "batches of any size, Keras' own neither"
            },
        },
    )
}


@keras.saving.register_keras_serializable("dlparts")
class ResidualDenseBlock(Chain):
    """Two Dense layers with a shortcut, in any order of norm and activation.

    Args:
        units: Integer, `>= 1`. The outputs.
        width: Integer, `>= 1`: the units between the two layers. None for `units`.
        order: One of `ResidualBlock`'s orders.
        norm: `"batch"`, `"layer"`, or None for no normalisation.
        activation: The activation, by name.
        dropout: Float, `0 <= dropout < 1`, between the two layers.
        shortcut: A shortcut of `Residual`, by name.
        resize: What takes the shortcut's place where the block changes the number of
            features: `"projection"`, a Dense layer, or `"pad"`, zeros.
        kernel_initializer: Of the Dense layers.
        kernel_regularizer: Of the Dense layers.
        stochastic_depth: Float, `0 <= stochastic_depth < 1`. The chance that the
            branch is dropped for a sample in training.
        zero_init: Whether the branch starts from zero.
        residual: Optional dict of more arguments of `Residual`.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`.
        training: Boolean. Whether the batch's own statistics are used, and whether
            to drop.

    Output shape: `(batch, ..., units)`. Masks pass.

    Example:

    >>> import numpy as np
    >>> block = ResidualDenseBlock(8, norm=None)
    >>> tuple(block(np.ones((2, 4))).shape)
    (2, 8)

    Reference: He et al. 2016, https://arxiv.org/abs/1603.05027
    """

    def __init__(
        self,
        units: int,
        width: int | None = None,
        order: Literal[
            "original",
            "bn_after_add",
            "relu_before_add",
            "relu_only",
            "full_preactivation",
        ] = "original",
        norm: Literal["batch", "layer"] | None = "batch",
        activation: str | Callable = "relu",
        dropout: float = 0.0,
        shortcut: Literal[
            "identity", "scale", "gate", "projection", "dropout", "pad", "none"
        ] = "identity",
        resize: Literal["projection", "pad"] = "projection",
        kernel_initializer: str | keras.initializers.Initializer = "he_normal",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        stochastic_depth: float = 0.0,
        zero_init: bool = False,
        residual: dict[str, Any] | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_word("order", order, ORDERS)
        check_word("norm", norm, (*NORMS, None))
        check_word("shortcut", shortcut, SHORTCUTS)
        check_word("resize", resize, ("projection", "pad"))
        check_count("units", units)
        check_count("width", units if width is None else width)
        check_rate("dropout", dropout)
        check_rate("stochastic_depth", stochastic_depth)
        check_flag("zero_init", zero_init)
        self.units = units
        self.width = width
        self.order = order
        self.norm = norm
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.shortcut = shortcut
        self.resize = resize
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.stochastic_depth = stochastic_depth
        self.zero_init = zero_init
        self.residual = dict(residual or {})
        self.seed = seed
        self.supports_masking = True

    def make(self, input_shape):
        changes = input_shape[-1] != self.units
        linears = [self._dense(self.width or self.units), self._dense(self.units)]
        drop = self._dropout() if self.dropout else None
        return arranged(self, linears, changes, self._project, self._norm, drop)

    def _dense(self, units):
        return keras.layers.Dense(
            units,
            kernel_initializer=self.kernel_initializer.clone(),
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
        )

    def _dropout(self):
        drop = keras.layers.Dropout(
            self.dropout, seed=self.seed, dtype=self.dtype_policy
        )
        return backend.own_draws(drop)

    def _project(self):
        return self._dense(self.units)

    def _norm(self):
        return NORMS[self.norm](dtype=self.dtype_policy) if self.norm else None

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "width": self.width,
            "order": self.order,
            "norm": self.norm,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "shortcut": self.shortcut,
            "resize": self.resize,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "stochastic_depth": self.stochastic_depth,
            "zero_init": self.zero_init,
            "residual": self.residual,
            "seed": self.seed,
        }
