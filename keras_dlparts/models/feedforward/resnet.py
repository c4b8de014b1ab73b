"""Residual nets: the CIFAR family and the ImageNet layouts, in 1, 2 or 3 dimensions.

    layout     stem                       blocks a stage          filters
    cifar      conv 3                     n, n, n                 16 32 64
               depth = 6n + 2 (basic) or 9n + 2 (bottleneck)
    imagenet   conv 7/2, max pool 3/2     18: 2 2 2 2 (basic)     64 128 256 512
                                          34: 3 4 6 3 (basic)
                          bottleneck:     50: 3 4 6 3   101: 3 4 23 3   152: 3 8 36 3

then the mean over space and a Dense layer. Every stage but the first halves the
space in its first block. The published sizes of the CIFAR nets (20: 0.27M, 32: .46M,
44: .66M, 56: .85M, 110: 1.7M) are those of `resize="pad"` (the paper's option A,
without weights), the default there; the ImageNet ones have `"projection"` (option B).
A bottleneck strides in its first 1x1 convolution, as the papers' nets do.

Shapes: x (batch, ..., channels) -> logits (batch, classes).
He et al. 2016, "Deep residual learning for image recognition", arXiv:1512.03385.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras

from keras_dlparts.layers.residual.residual_block import ResidualBlock
from keras_dlparts.layers.residual.shortcuts import channel_axis
from keras_dlparts.support.checks import check_word

_IMAGENET = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
CASES = {
    "ResNet": (
        {
            "arguments": {
                "depth": 8,
                "input_shape": (8, 8, 2),
                "classes": 3,
                "filters": 2,
                "stochastic_depth": 0.2,
                "seed": 1,
            },
            "still": {"stochastic_depth": 0.0},
            "per_share": "batch normalisation takes its statistics from the replica's "
            "share",
        },
    )
}


def blocks_of(depth, layout, kind):
    """(kind, blocks of each stage) of a depth; ValueError for one that has none."""
    if layout == "imagenet":
        if depth not in _IMAGENET or kind not in (None, _IMAGENET[depth][0]):
            raise ValueError(
                "With layout='imagenet', `depth` must be 18 or 34 (basic) or 50, 101 "
                f"or 152 (bottleneck). Received: depth={depth}, kind={kind!r}"
            )
        return _IMAGENET[depth]
    for each, step in (("basic", 6), ("bottleneck", 9)):
        if kind in (None, each) and depth > 2 and (depth - 2) % step == 0:
            return each, ((depth - 2) // step,) * 3
    raise ValueError(
        "With layout='cifar', `depth` must be 6n + 2 for basic blocks or 9n + 2 for "
        f"bottlenecks, n >= 1. Received: depth={depth}, kind={kind!r}"
    )


def ResNet(
    depth: int = 20,
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    layout: Literal["cifar", "imagenet"] = "cifar",
    kind: Literal["basic", "bottleneck"] | None = None,
    order: Literal[
        "original", "bn_after_add", "relu_before_add", "relu_only", "full_preactivation"
    ] = "original",
    shortcut: Literal[
        "identity", "scale", "gate", "projection", "dropout", "pad", "none"
    ] = "identity",
    resize: Literal["pad", "projection"] | None = None,
    filters: int | None = None,
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
    name: str = "resnet",
) -> keras.Model:
    """A residual net for images, sequences or volumes.

    With `layout="imagenet"`, `use_bias=True` and `epsilon=1.001e-5` a depth of 50,
    101 or 152 is `keras.applications`' net without its softmax. Batch normalisation
    takes the statistics of a replica's share of the batch.

    Args:
        depth: Integer. The layers with weights on the longest way; see the table.
        input_shape: Tuple, without the batch: one to three axes of space, and the
            channels.
        classes: Integer. The outputs.
        layout: `"cifar"` or `"imagenet"`.
        kind: `"basic"` or `"bottleneck"`. None: the one that the depth belongs to,
            basic if both.
        order: One of `ResidualBlock`'s orders.
        shortcut: A shortcut of `Residual`, by name.
        resize: `"pad"` or `"projection"`, where a block changes the shape. None: the
            layout's.
        filters: Integer. Of the first stage; each later one has twice as many as the
            one before. None: the layout's.
        activation: The activation, by name.
        use_bias: Whether the convolutions have biases.
        momentum: Float. Of the batch normalisation.
        epsilon: Float. Of the batch normalisation.
        kernel_initializer: Of the convolutions.
        kernel_regularizer: Of the convolutions and the Dense layer.
        stochastic_depth: Float, `0 <= stochastic_depth < 1`. The chance that the last
            block's branch is dropped; it grows linearly up to there.
        zero_init: Whether the blocks' branches start from zero.
        residual: Optional dict of more arguments of `Residual`, such as
            `{"gate_bias": -6.0}`.
        remat: Whether training computes what is inside each block twice instead of
            keeping it in memory.
        seed: Optional integer, for draws that repeat.
        name: The model's name.

    Returns:
        A `keras.Model` from images to logits.

    Example:

    >>> model = ResNet(depth=20)
    >>> model.output_shape, model.count_params()  # the moving averages included
    ((None, 10), 271098)

    Reference: He et al. 2016, https://arxiv.org/abs/1512.03385
    """
    check_word("layout", layout, ("cifar", "imagenet"))
    kind, stages = blocks_of(depth, layout, kind)
    filters = filters or (16 if layout == "cifar" else 64)
    resize = resize or ("pad" if layout == "cifar" else "projection")
    space = len(input_shape) - 1
    if space not in (1, 2, 3):
        raise ValueError(
            "`input_shape` must have one to three axes of space and the channels. "
            f"Received: input_shape={input_shape}"
        )
    norm = {"momentum": momentum, "epsilon": epsilon}
    conv = {
        "use_bias": use_bias,
        "kernel_initializer": kernel_initializer,
        "kernel_regularizer": kernel_regularizer,
    }
    net = _Ends(space, conv, norm, activation)
    x = inputs = keras.Input(tuple(input_shape))
    for layer in net.stem(layout, order, filters):
        x = layer(x)
    count = 0
    for stage, blocks in enumerate(stages):
        for i in range(blocks):
            count += 1
            block = ResidualBlock(
                filters * 2**stage,
                kind,
                order,
                strides=2 if stage and not i else 1,
                shortcut=shortcut,
                resize=resize,
                activation=activation,
                **conv,
                **norm,
                stochastic_depth=stochastic_depth * count / sum(stages),
                zero_init=zero_init,
                residual=residual,
                remat=remat,
                seed=None if seed is None else seed + count,
                name=f"stage{stage + 1}_block{i + 1}",
            )
            x = block(x)
    for layer in net.end(order, classes):
        x = layer(x)
    return keras.Model(inputs, x, name=name)


class _Ends:
    """What stands before and after the blocks."""

    def __init__(self, space, conv, norm, activation):
        self.space, self.conv, self.norm = space, conv, norm
        self.activation = activation

    def _layer(self, kind, *arguments, **more):
        return getattr(keras.layers, f"{kind}{self.space}D")(*arguments, **more)

    def _norm(self, name):
        axis = channel_axis(self.space + 2)
        return keras.layers.BatchNormalization(axis, name=name, **self.norm)

    def _activation(self, name):
        return keras.layers.Activation(self.activation, name=name)

    def stem(self, layout, order, filters):
        before, pool = [], []
        if layout == "imagenet":
            # As keras.applications does; "same" pads one side more than the other.
            before = [self._layer("ZeroPadding", 3)]
            pool = [self._layer("ZeroPadding", 1), self._layer("MaxPooling", 3, 2)]
        size, strides, padding = (7, 2, "valid") if before else (3, 1, "same")
        layers = [
            *before,
            self._layer(
                "Conv",
                filters,
                size,
                strides=strides,
                padding=padding,
                name="stem_conv",
                **self.conv,
            ),
        ]
        if order != "full_preactivation":
            layers.append(self._norm("stem_norm"))
            if order != "relu_only":
                layers.append(self._activation("stem_activation"))
        return [*layers, *pool]

    def end(self, order, classes):
        layers = []
        if order == "full_preactivation":
            layers.append(self._norm("end_norm"))
        if order in ("full_preactivation", "relu_only"):
            layers.append(self._activation("end_activation"))
        regularizer = self.conv["kernel_regularizer"]
        return [
            *layers,
            self._layer("GlobalAveragePooling", name="mean"),
            keras.layers.Dense(classes, kernel_regularizer=regularizer, name="logits"),
        ]
