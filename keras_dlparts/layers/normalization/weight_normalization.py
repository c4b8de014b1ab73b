"""Weight normalisation: the length of a weight vector learnt apart from its direction.

    w_u = g_u v_u / ||v_u||                      one vector v_u and one g_u an output u

    at first          g_u = ||v_u||, so the layer is what it was without the wrapper
    adapt(data)       g_u <- g_u / s_u           m, s: mean and standard deviation of
                      b_u <- (b_u - m_u) / s_u   the outputs before the activation
                      an output of one value, s_u = 0, keeps g_u and b_u

Shapes: those of the wrapped layer. Training and inference are the same.
Salimans & Kingma 2016, "Weight normalization", arXiv:1602.07868.
"""

import math
import warnings
from typing import Any

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from keras_dlparts.layers.normalization.computed_kernels import ComputedKernels
from keras_dlparts.layers.preprocessing.adapting import Moments, batches
from keras_dlparts.support.output_axes import output_axes, result_axes

CASES = {
    "WeightNormalization": (
        {
            "arguments": lambda folder: {"layer": kl.Dense(3, "tanh")},
            "input_shape": (4, 5),
        },
        {
            "arguments": lambda folder: {
                "layer": kl.SeparableConv1D(4, 2),
                "data_init": True,
            },
            "input_shape": (2, 5, 3),
        },
        {
            "arguments": lambda folder: {"layer": kl.LSTM(3, return_sequences=True)},
            "input_shape": (2, 4, 3),
        },
    )
}

_ROUNDING = 1e-6  # how much outputs of one value may differ, as a share of it


def normalized(v, g, axes):
    """g v / ||v||, the norm over all axes but those of the outputs."""
    inner = [axis for axis in range(len(v.shape)) if axis not in axes]
    square = ops.sum(ops.square(v), axis=inner, keepdims=True)
    # A vector of zeros stays a vector of zeros, with a finite gradient.
    return v * ops.rsqrt(ops.maximum(square, 1e-24)) * ops.reshape(g, square.shape)


@keras.saving.register_keras_serializable("dlparts")
class WeightNormalization(ComputedKernels):
    """A layer whose weight vectors are learnt as a length and a direction.

    It wraps any layer that has a kernel: Dense, EinsumDense, convolutions of all
    kinds, and recurrent layers, where both kernels are normalised, once a call and
    not once a time step. The wrapped layer's own kernel is the direction v, so its
    `kernel_regularizer` and `kernel_constraint` act on v. The bias stays as it is.
    `keras_dlparts.strip` makes a model of the plain layers with the same outputs.
    `model.quantize` leaves the wrapped layer as it is, with a warning: strip before.

    Args:
        layer: The layer to wrap, with a kernel of its own.
        data_init: Whether `adapt(data)` sets length and bias so that the outputs
            before the activation have mean 0 and variance 1 over the data. Outputs
            that have one value there stay as they are, with a warning. A run of
            `dlparts train` calls `adapt` by itself; elsewhere call it, layer by
            layer, before `fit`. Not for recurrent layers.

    Call arguments:
        inputs: What the wrapped layer takes.
        **kwargs: Handed to the wrapped layer.

    Output shape: that of the wrapped layer. Masks pass where it passes them.

    Example:

    >>> layer = WeightNormalization(keras.layers.Dense(2), data_init=True)
    >>> x = np.random.default_rng(0).normal(3, 5, (1000, 4))
    >>> layer.adapt(x)
    >>> y = keras.ops.convert_to_numpy(layer(x))
    >>> y.std(axis=0).round(2).tolist()
    [1.0, 1.0]

    Reference: Salimans & Kingma 2016, https://arxiv.org/abs/1602.07868
    """

    def __init__(self, layer: keras.layers.Layer, data_init: bool = False, **kwargs):
        super().__init__(layer, **kwargs)
        if not isinstance(data_init, bool):
            raise TypeError(
                f"`data_init` must be True or False. Received: data_init={data_init!r}"
            )
        if data_init and isinstance(layer, kl.RNN):
            raise ValueError(
                "A recurrent layer has no outputs before its activation to initialise "
                f"from. Received: data_init=True for a {type(layer).__name__}; "
                "leave it False"
            )
        self.data_init = data_init

    def build(self, input_shape):
        super().build(input_shape)
        self._axes = [output_axes(self.layer, v) for v in self.directions]
        self.lengths = [
            self._length(v, axes)
            for v, axes in zip(self.directions, self._axes, strict=True)
        ]

    def _length(self, v, axes):
        inner = tuple(axis for axis in range(len(v.shape)) if axis not in axes)
        length = self.add_weight(
            name=f"g_{v.name}",
            shape=tuple(v.shape[axis] for axis in axes),
            dtype=v.dtype,  # the wrapped layer may have another than this one
            initializer=lambda shape, dtype: ops.sqrt(
                ops.sum(ops.square(ops.cast(v, dtype)), axis=inner)
            ),
        )
        # Made as one that can learn, so that a later `trainable = True` reaches it.
        length.trainable = v.trainable
        return length

    def notes(self):
        return self.lengths

    def plain_weights(self, training=False):
        return {
            id(v): normalized(ops.convert_to_tensor(v), ops.convert_to_tensor(g), axes)
            for v, g, axes in zip(
                self.directions, self.lengths, self._axes, strict=True
            )
        }

    def adapt(self, data: Any):
        """Set lengths and bias from data; nothing happens unless `data_init` is set.

        Args:
            data: Inputs of this layer: an array or tensor, a `tf.data.Dataset` or a
                `keras.utils.PyDataset` of batches, or an iterable of batches.
        """
        if not self.data_init:
            return
        moments = Moments()
        activation = getattr(self.layer, "activation", None)
        self.layer.activation = None
        try:
            for x in batches(data):
                y = ops.convert_to_numpy(self(x.astype("float32")))
                if getattr(self.layer, "data_format", None) == "channels_first":
                    y = np.moveaxis(y, 1, -1)
                axes = result_axes(self.layer, y.ndim)
                outputs = sorted(axes)
                shape = [y.shape[axis] for axis in outputs]
                self._check_bias(y.ndim, dict(zip(outputs, shape, strict=True)))
                rows = np.moveaxis(y, outputs, range(-len(outputs), 0))
                moments.add(rows.reshape(-1, math.prod(shape)).astype("float64"))
        finally:
            self.layer.activation = activation
        mean, deviation = self._spread(moments)
        # The result may have the outputs in another order than the kernel.
        ordered = np.transpose(deviation.reshape(shape), [*map(outputs.index, axes)])
        g = self.lengths[-1]
        g.assign(g.numpy() / ordered.reshape(g.shape))
        bias = getattr(self.layer, "bias", None)
        if bias is not None:
            old = bias.numpy().reshape(-1)
            bias.assign(((old - mean) / deviation).reshape(bias.shape))

    def _spread(self, moments):
        """(m, s) of each output; 0 and 1, which change nothing, of one that has but one
        value over the data."""
        constant = np.sqrt(moments.variance) <= _ROUNDING * np.abs(moments.mean)
        if constant.any():
            warnings.warn(
                "`data_init` gives outputs variance 1, which outputs of one value "
                f"cannot have; their lengths and bias stay. Received: {constant.sum()} "
                f"of {constant.size} outputs of {self.layer.name!r} with one value over"
                " all data. Call `adapt` on data that differ",
                stacklevel=3,
            )
        mean = np.where(constant, 0.0, moments.mean)
        return mean, np.where(constant, 1.0, np.sqrt(moments.variance + 1e-10))

    def _check_bias(self, rank, sizes):
        """Raise unless the bias has a number for each output and no more.

        Args:
            rank: How many axes the layer's result has.
            sizes: {axis of the result that counts outputs: its size}.
        """
        bias = getattr(self.layer, "bias", None)
        if bias is None:
            return
        needed = [sizes.get(axis, 1) for axis in range(rank)]
        given = [1] * (rank - len(bias.shape)) + [*bias.shape]
        if given != needed:
            raise ValueError(
                "`data_init` needs a bias an output. Received: "
                f"{math.prod(needed)} outputs and a bias of shape {tuple(bias.shape)}"
            )

    def get_config(self):
        return {**super().get_config(), "data_init": self.data_init}
