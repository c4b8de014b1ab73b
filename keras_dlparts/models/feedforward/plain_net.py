"""The plain nets that residual nets are compared with: the same, no shortcuts.

    h_l = F_l(h_(l-1))     where a residual net has h_l = h_(l-1) + F_l(h_(l-1))

Shapes: x (batch, ..., channels) -> logits (batch, classes).
He et al. 2016, "Deep residual learning for image recognition", arXiv:1512.03385.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import keras

from keras_dlparts.models.feedforward.resnet import ResNet

CASES = {
    "PlainNet": (
        {
            "arguments": {
                "depth": 8,
                "input_shape": (8, 8, 2),
                "classes": 3,
                "filters": 2,
            },
            "per_share": "batch normalisation takes its statistics from the replica's "
            "share",
        },
    )
}


def PlainNet(
    depth: int = 20,
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    layout: Literal["cifar", "imagenet"] = "cifar",
    kind: Literal["basic", "bottleneck"] | None = None,
    order: Literal[
        "original", "bn_after_add", "relu_before_add", "relu_only", "full_preactivation"
    ] = "original",
    filters: int | None = None,
    activation: str | Callable = "relu",
    use_bias: bool = False,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    kernel_initializer: str | keras.initializers.Initializer = "he_normal",
    kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
    remat: bool = False,
    name: str = "plain_net",
) -> keras.Model:
    """`ResNet` without its shortcuts, to compare it with.

    Here too batch normalisation takes the statistics of a replica's share of the batch.

    Args:
        depth: Integer. The layers with weights, as in `ResNet`.
        input_shape: Tuple, without the batch.
        classes: Integer. The outputs.
        layout: `"cifar"` or `"imagenet"`.
        kind: `"basic"`, `"bottleneck"` or None, as in `ResNet`.
        order: One of `ResidualBlock`'s orders.
        filters: Integer. Of the first stage. None: the layout's.
        activation: The activation, by name.
        use_bias: Whether the convolutions have biases.
        momentum: Float. Of the batch normalisation.
        epsilon: Float. Of the batch normalisation.
        kernel_initializer: Of the convolutions.
        kernel_regularizer: Of the convolutions and the Dense layer.
        remat: Whether to trade time for memory, as in `ResNet`.
        name: The model's name.

    Returns:
        A `keras.Model` from images to logits.

    Example:

    >>> model = PlainNet(depth=8, input_shape=(8, 8, 1))
    >>> model.output_shape
    (None, 10)

    Reference: He et al. 2016, https://arxiv.org/abs/1512.03385
    """
    return ResNet(shortcut="none", **locals())
