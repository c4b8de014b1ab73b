"""The plain nets that residual nets are compared with: the same, no shortcuts.

    h_l = F_l(h_(l-1))     where a residual net has h_l = h_(l-1) + F_l(h_(l-1))

Shapes: x (batch, ..., channels) -> logits (batch, classes).
He et al. 2016, "Deep residual learning for image recognition", arXiv:1512.03385.
"""

from keras_dlparts.models.resnet import ResNet

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
    depth=20,
    input_shape=(32, 32, 3),
    classes=10,
    layout="cifar",
    kind=None,
    order="original",
    filters=None,
    activation="relu",
    use_bias=False,
    momentum=0.99,
    epsilon=1e-3,
    kernel_initializer="he_normal",
    kernel_regularizer=None,
    remat=False,
    name="plain_net",
):
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
