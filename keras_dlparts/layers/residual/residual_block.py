"""The residual blocks of the ResNets: convolutions, norms and activations in order.

    order                 before   branch F                               after
    original              -        conv BN relu  conv BN                  relu
    bn_after_add          -        conv BN relu  conv                     BN relu
    relu_before_add       -        conv BN relu  conv BN relu             -
    relu_only             -        relu conv BN  relu conv BN             -
    full_preactivation    -        BN relu conv  BN relu conv             -

    kind        convolutions (k: kernel_size)
    basic       k: filters (strides),  k: filters
    bottleneck  1: filters (strides),  k: filters,  1: 4 filters

Where a block that begins with an activation projects its shortcut, that first
activation stands before both, as in the paper's nets.
Shapes: x (batch, ..., channels) with 1, 2 or 3 axes of space between ->
y (batch, .../strides, filters or 4 filters). Training and inference differ in the
batch normalisation, and as `Residual` does.
He et al. 2016, arXiv:1512.03385, and "Identity mappings in deep residual
networks", arXiv:1603.05027.
"""

from collections.abc import Callable
from typing import Any, Literal

import keras

from keras_dlparts.layers.residual.orders import ORDERS, Chain, arranged
from keras_dlparts.layers.residual.residual import SHORTCUTS
from keras_dlparts.layers.residual.shortcuts import channel_axis
from keras_dlparts.support.checks import (
    check_count,
    check_flag,
    check_number,
    check_rate,
    check_word,
)

KINDS = ("basic", "bottleneck")
_PER_SHARE = "batch normalisation takes its statistics from the replica's share"
CASES = {
    "ResidualBlock": (
        {
            "arguments": {"filters": 3},
            "input_shape": (2, 4, 6, 3),
            "per_share": _PER_SHARE,
        },
        {
            "arguments": {
                "filters": 2,
                "kind": "bottleneck",
                "order": "full_preactivation",
                "strides": 2,
            },
            "input_shape": (2, 6, 3),
            "per_share": _PER_SHARE,
        },
    )
}


@keras.saving.register_keras_serializable("dlparts")
class ResidualBlock(Chain):
    """Two or three convolutions with a shortcut, in any order of norm and activation.

    The input's rank decides between 1-, 2- and 3-D convolutions. Batch normalisation
    takes the statistics of a replica's share of the batch.

    Args:
        filters: Integer, `>= 1`. The filters of the convolutions; a bottleneck's last
            one has four times as many.
        kind: `"basic"` or `"bottleneck"`.
        order: `"original"`, `"bn_after_add"`, `"relu_before_add"`, `"relu_only"` or
            `"full_preactivation"`; see the table above.
        strides: Integer, `>= 1`. The first convolution's.
        shortcut: A shortcut of `Residual`, by name. `"projection"` projects always.
        resize: What takes the shortcut's place where the block changes the shape:
            `"projection"`, a 1x1 convolution, with a norm where the order has one
            after its convolutions (option B of the paper), or `"pad"`, without
            weights (option A).
        kernel_size: Integer. Of the convolutions that are not 1x1.
        activation: The activation, by name.
        use_bias: Whether the convolutions have biases.
        momentum: Float. Of the batch normalisation.
        epsilon: Float. Of the batch normalisation.
        kernel_initializer: Of the convolutions.
        kernel_regularizer: Of the convolutions.
        stochastic_depth: Float, `0 <= stochastic_depth < 1`. The chance that the
            branch is dropped for a sample in training.
        zero_init: Whether the branch starts from zero.
        residual: Optional dict of more arguments of `Residual`, such as
            `{"gate_bias": -6.0}`.
        remat: Whether training keeps only the block's input in memory, and computes
            what is inside once more for the gradient.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., channels)` with one to three axes of
            space.
        training: Boolean. Whether the batch's own statistics are used, and whether
            to drop.

    Output shape: `(batch, ..., filters)`, space divided by `strides`, rounded up;
    `4 * filters` of a bottleneck.

    Example:

    >>> import numpy as np
    >>> block = ResidualBlock(8, order="full_preactivation", strides=2)
    >>> tuple(block(np.ones((1, 32, 32, 4))).shape)
    (1, 16, 16, 8)

    Reference: He et al. 2016, https://arxiv.org/abs/1603.05027
    """

    def __init__(
        self,
        filters: int,
        kind: Literal["basic", "bottleneck"] = "basic",
        order: Literal[
            "original",
            "bn_after_add",
            "relu_before_add",
            "relu_only",
            "full_preactivation",
        ] = "original",
        strides: int = 1,
        shortcut: Literal[
            "identity", "scale", "gate", "projection", "dropout", "pad", "none"
        ] = "identity",
        resize: Literal["projection", "pad"] = "projection",
        kernel_size: int = 3,
        activation: str | Callable = "relu",
        use_bias: bool = False,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        kernel_initializer: str | keras.initializers.Initializer = "he_normal",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        stochastic_depth: float = 0.0,
        zero_init: bool = False,
        residual: dict[str, Any] | None = None,
        remat: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_word("kind", kind, KINDS)
        check_word("order", order, ORDERS)
        check_word("resize", resize, ("projection", "pad"))
        check_word("shortcut", shortcut, SHORTCUTS)
        check_count("filters", filters)
        check_count("strides", strides)
        check_count("kernel_size", kernel_size)
        check_number("momentum", momentum, least=0)
        check_number("epsilon", epsilon, least=0)
        check_rate("stochastic_depth", stochastic_depth)
        for name, value in (
            ("use_bias", use_bias),
            ("zero_init", zero_init),
            ("remat", remat),
        ):
            check_flag(name, value)
        self.filters = filters
        self.kind = kind
        self.order = order
        self.strides = strides
        self.shortcut = shortcut
        self.resize = resize
        self.kernel_size = kernel_size
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.momentum = momentum
        self.epsilon = epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.stochastic_depth = stochastic_depth
        self.zero_init = zero_init
        self.residual = dict(residual or {})
        self.remat = remat
        self.seed = seed

    def make(self, input_shape):
        space = len(input_shape) - 2
        if space not in (1, 2, 3):
            raise ValueError(
                "The input must have one to three axes of space between its batch and "
                f"its channels. Received: input_shape={tuple(input_shape)}. "
                "ResidualDenseBlock takes vectors."
            )
        wide = 4 * self.filters if self.kind == "bottleneck" else self.filters
        k = self.kernel_size
        sizes = [(k, self.filters), (k, wide)]
        if self.kind == "bottleneck":
            sizes = [(1, self.filters), (k, self.filters), (1, wide)]
        convs = [
            self._conv(space, size, filters, 1 if i else self.strides)
            for i, (size, filters) in enumerate(sizes)
        ]
        changes = self.strides > 1 or input_shape[channel_axis(space + 2)] != wide
        return arranged(
            self,
            convs,
            changes,
            project=lambda: self._conv(space, 1, wide, self.strides),
            norm=lambda: self._norm(channel_axis(space + 2)),
        )

    def _conv(self, space, size, filters, strides):
        # Convolutions may share a regularizer, but an initializer draws the same
        # weights at each call: a clone has another seed, unless one was given.
        return getattr(keras.layers, f"Conv{space}D")(
            filters,
            size,
            strides=strides,
            padding="same",
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer.clone(),
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
        )

    def _norm(self, axis):
        return keras.layers.BatchNormalization(
            axis, self.momentum, self.epsilon, dtype=self.dtype_policy
        )

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kind": self.kind,
            "order": self.order,
            "strides": self.strides,
            "shortcut": self.shortcut,
            "resize": self.resize,
            "kernel_size": self.kernel_size,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "stochastic_depth": self.stochastic_depth,
            "zero_init": self.zero_init,
            "residual": self.residual,
            "remat": self.remat,
            "seed": self.seed,
        }
