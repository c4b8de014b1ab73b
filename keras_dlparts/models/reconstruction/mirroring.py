"""The decoder that mirrors an encoder: its layers inverted, from the last to the first.

    encoder   x -> L_1 -> f_1 -> L_2 -> f_2 -> ... -> L_n -> code
    decoder   code -> L_n^T -> f_(n-1) -> ... -> L_2^T -> f_1 -> L_1^T -> y

    L                          L^T
    Dense                      Dense of as many units as L takes, or TiedDense
    Conv1D, 2D, 3D             transposed convolution of L's kernel, or TiedConv
    MaxPooling, AveragePooling upsampling, padded or cut to the size that L takes
    Flatten, Reshape           Reshape
    GaussianSampling           Dense

f are the activations, as an argument or as a layer, and normalizations, which are
copied without their weights. Noise and dropout are left out. Shapes: each L^T gives
back the shape that L takes.
"""

import keras
from keras import layers as kl

from keras_dlparts.layers.reconstruction.gaussian_sampling import GaussianSampling
from keras_dlparts.layers.reconstruction.tied_conv import TiedConv
from keras_dlparts.layers.reconstruction.tied_dense import TiedDense

_CONVS = {
    kl.Conv1D: kl.Conv1DTranspose,
    kl.Conv2D: kl.Conv2DTranspose,
    kl.Conv3D: kl.Conv3DTranspose,
}
_POOLS = {
    kl.MaxPooling1D: (kl.UpSampling1D, kl.ZeroPadding1D, kl.Cropping1D),
    kl.MaxPooling2D: (kl.UpSampling2D, kl.ZeroPadding2D, kl.Cropping2D),
    kl.MaxPooling3D: (kl.UpSampling3D, kl.ZeroPadding3D, kl.Cropping3D),
    kl.AveragePooling1D: (kl.UpSampling1D, kl.ZeroPadding1D, kl.Cropping1D),
    kl.AveragePooling2D: (kl.UpSampling2D, kl.ZeroPadding2D, kl.Cropping2D),
    kl.AveragePooling3D: (kl.UpSampling3D, kl.ZeroPadding3D, kl.Cropping3D),
}
_WITH_WEIGHTS = (kl.Dense, GaussianSampling, *_CONVS)
_SHAPING = (*_WITH_WEIGHTS, *_POOLS, kl.Flatten, kl.Reshape)
_COPIED = (
    kl.Activation,
    kl.ReLU,
    kl.LeakyReLU,
    kl.PReLU,
    kl.ELU,
    kl.BatchNormalization,
    kl.LayerNormalization,
)
_LEFT_OUT = (
    kl.InputLayer,
    kl.Dropout,
    kl.SpatialDropout1D,
    kl.SpatialDropout2D,
    kl.SpatialDropout3D,
    kl.GaussianDropout,
    kl.GaussianNoise,
    kl.AlphaDropout,
    kl.ActivityRegularization,
)


def has_weights(layer):
    """Whether a layer is one that pre-training learns."""
    return isinstance(layer, (kl.Dense, *_CONVS))


def mirrored(layers, shapes, tied, dtype=None):
    """What undoes each layer: `{number of the layer: layers in a row}`.

    The decoder has them from the last number to the first.

    Args:
        layers: The encoder's layers in a row, built.
        shapes: What each of them takes, with the batch.
        tied: Whether kernels are shared, transposed.
        dtype: The dtype policy of what is made.
    """
    segments = []  # of a layer that shapes, what it takes, and what comes behind it
    for number, (layer, shape) in enumerate(zip(layers, shapes, strict=True)):
        if isinstance(layer, _LEFT_OUT) or getattr(layer, "dropout_like", False):
            continue
        if isinstance(layer, _SHAPING):
            segments.append((number, layer, shape, []))
        elif not isinstance(layer, _COPIED):
            _refuse(layer, "what undoes it is not known")
        elif not segments:
            _refuse(layer, "it stands before all layers that have a mirror image")
        else:
            segments[-1][3].append(layer)
    decoder = {}
    for i, (number, layer, shape, _) in enumerate(segments):
        activation, behind = None, []
        if i:
            _, before, _, behind = segments[i - 1]
            activation = getattr(before, "activation", None)
        undone = _inverse(layer, shape, tied, activation, dtype)
        decoder[number] = undone + [_like(each) for each in behind]
    return decoder


def _inverse(layer, shape, tied, activation, dtype):
    """The layers that undo one, and end in an activation."""
    if isinstance(layer, _WITH_WEIGHTS):
        return [_transposed(layer, shape, tied, activation, dtype)]
    if isinstance(layer, kl.Flatten | kl.Reshape):
        made = [kl.Reshape(shape[1:], dtype=dtype)]
    else:
        made = _unpooled(layer, shape, dtype)
    if activation not in (None, keras.activations.linear):
        made.append(kl.Activation(activation, dtype=dtype))
    return made


def _transposed(layer, shape, tied, activation, dtype):
    options = {"activation": activation, "dtype": dtype}
    if isinstance(layer, GaussianSampling):
        return kl.Dense(shape[-1], **options)
    options["use_bias"] = layer.use_bias
    is_dense = isinstance(layer, kl.Dense)
    if tied:
        return (TiedDense if is_dense else TiedConv)(layer, **options)
    options["kernel_initializer"] = layer.kernel_initializer.clone()
    if is_dense:
        return kl.Dense(shape[-1], **options)
    simple = layer.groups == 1 and layer.data_format == "channels_last"
    if not simple or layer.padding == "causal":
        _refuse(layer, "it has groups, causal padding, or its channels first")
    kind = next(t for c, t in _CONVS.items() if isinstance(layer, c))
    return kind(
        shape[-1],
        layer.kernel_size,
        layer.strides,
        layer.padding,
        data_format="channels_last",
        output_padding=_output_padding(layer, shape),
        dilation_rate=layer.dilation_rate,
        **options,
    )


def _output_padding(layer, shape):
    """What a transposed convolution adds so that it gives the size `shape`; None for
    as much as it does by itself."""
    found, by_itself, given = [], True, layer.compute_output_shape(shape)
    for n, m, k, s, d in zip(
        shape[1:-1],
        given[1:-1],
        layer.kernel_size,
        layer.strides,
        layer.dilation_rate,
        strict=True,
    ):
        reach = (k - 1) * d + 1
        same = layer.padding == "same"
        cut = 2 * (reach // 2) if same else 0
        found.append(n - ((m - 1) * s + reach - cut))
        by_itself = by_itself and n == m * s + (0 if same else max(reach - s, 0))
    if by_itself:
        return None
    if any(more >= s for more, s in zip(found, layer.strides, strict=True)):
        _refuse(layer, "with kernels of an even size its axes need different paddings")
    return tuple(found)


def _unpooled(layer, shape, dtype):
    if tuple(layer.strides) != tuple(layer.pool_size):
        _refuse(layer, "its strides are not its pool_size")
    if layer.data_format != "channels_last":
        _refuse(layer, "its channels come first")
    up, pad, cut = next(k for pool, k in _POOLS.items() if isinstance(layer, pool))
    sizes = layer.pool_size
    pooled = layer.compute_output_shape(shape)[1:-1]
    more = [n - m * size for n, m, size in zip(shape[1:-1], pooled, sizes, strict=True)]
    one = len(sizes) == 1
    made = [_last(up, sizes[0] if one else tuple(sizes), dtype)]
    for kind, amounts in ((pad, more), (cut, [-each for each in more])):
        if any(amount > 0 for amount in amounts):
            each = tuple((0, max(amount, 0)) for amount in amounts)
            made.append(_last(kind, each[0] if one else each, dtype))
    return made


def _last(kind, amount, dtype):
    """A layer that takes its channels last, as two kinds always do."""
    if kind in (kl.UpSampling1D, kl.Cropping1D):
        return kind(amount, dtype=dtype)
    return kind(amount, data_format="channels_last", dtype=dtype)


def _like(layer):
    """A layer of the same kind, with weights and a name of its own."""
    config = layer.get_config()
    config.pop("name")
    return type(layer).from_config(config)


def _refuse(layer, why):
    raise ValueError(
        f"The encoder cannot be mirrored, for it has a {type(layer).__name__} layer, "
        f"{layer.name!r}, and {why}. Received: decoder=None; give one"
    )
