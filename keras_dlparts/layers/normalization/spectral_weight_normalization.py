"""Spectral normalisation of weights: a layer that stretches no input by more than 1.

    W (inputs x outputs), the kernel as a matrix;   u (outputs), a unit vector it keeps
    v <- W u / ||W u||,  u <- W^T v / ||W^T v||      in training, once a call or oftener
    sigma = v^T W u                                  about the largest singular value
    y = the layer with the kernel W / sigma

The gradient goes through W in sigma, and takes u and v for constants.
Shapes: those of the wrapped layer. Inference takes u as it is: sigma = ||W u||.
Miyato et al. 2018, "Spectral normalization for generative adversarial networks",
arXiv:1802.05957.
"""

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.normalization.computed_kernels import ComputedKernels
from keras_dlparts.support.checks import check_count
from keras_dlparts.support.output_axes import output_axes

CASES = {
    "SpectralWeightNormalization": (
        {
            # Of rank one, so that u rests once it is found: what moves by itself looks
            # as if it were drawn.
            "arguments": lambda folder: {
                "layer": kl.Dense(3, "tanh", kernel_initializer="ones")
            },
            "input_shape": (4, 5),
        },
    )
}
_FIRST = 10  # iterations before the first call


def as_matrix(kernel, axes):
    """A kernel as a matrix of inputs and outputs; `axes` count its outputs."""
    inner = [axis for axis in range(len(kernel.shape)) if axis not in axes]
    outputs = int(np.prod([kernel.shape[axis] for axis in axes]))
    return ops.reshape(ops.transpose(kernel, [*inner, *axes]), (-1, outputs))


def unit(x):
    """x / ||x||; a vector of zeros stays one."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x)), 1e-24))


def iterated(W, u, times):
    """(u, v) after power iterations."""
    v = unit(ops.matmul(W, u))
    for _ in range(times):
        v = unit(ops.matmul(W, u))
        u = unit(ops.matmul(v, W))
    return u, v


@keras.saving.register_keras_serializable("dlparts")
class SpectralWeightNormalization(ComputedKernels):
    """A layer whose kernel is divided by its largest singular value.

    It wraps any layer that has a kernel, and is for discriminators that must not grow
    steep. Of a convolution it is the kernel's matrix of inputs and outputs that is
    divided, as in the paper. The layer's own kernel stays as the optimizer leaves it,
    and the gradient goes through sigma. Keras' `SpectralNormalization` overwrites the
    kernel in each call instead: no gradient goes through sigma, and on PyTorch a layer
    that is called twice in a step, as a discriminator is, fails.
    `keras_dlparts.strip` makes a model of the plain layers with the same outputs.

    Args:
        layer: The layer to wrap, with a kernel of its own.
        power_iterations: Integer, `>= 1`, of each call in training.

    Call arguments:
        inputs: What the wrapped layer takes.
        training: Boolean. Whether u moves.
        **kwargs: Handed to the wrapped layer.

    Output shape: that of the wrapped layer. Masks pass where it passes them.

    Example:

    >>> layer = SpectralWeightNormalization(keras.layers.Dense(4, use_bias=False))
    >>> y = keras.ops.convert_to_numpy(layer(100 * np.eye(5)))
    >>> round(float(np.linalg.svd(y / 100)[1].max()), 1)
    1.0

    Reference: Miyato et al. 2018, https://arxiv.org/abs/1802.05957
    """

    def __init__(self, layer: keras.layers.Layer, power_iterations: int = 1, **kwargs):
        super().__init__(layer, **kwargs)
        self.power_iterations = check_count("power_iterations", power_iterations)

    def build(self, input_shape):
        super().build(input_shape)
        self._axes = [output_axes(self.layer, v) for v in self.directions]
        self.vectors = [
            self._vector(v, axes)
            for v, axes in zip(self.directions, self._axes, strict=True)
        ]

    def _vector(self, kernel, axes):
        def first(shape, dtype=None):
            W = as_matrix(ops.cast(kernel, "float32"), axes)
            start = np.random.default_rng(0).normal(size=shape).astype("float32")
            start = unit(ops.convert_to_tensor(start))
            return ops.stop_gradient(iterated(W, start, _FIRST)[0])

        size = int(np.prod([kernel.shape[axis] for axis in axes]))
        return backend.running_variable((size,), f"u_{kernel.name}", first)

    def notes(self):
        return self.vectors

    def plain_weights(self, training=False):
        found = {}
        for kernel, vector, axes in zip(
            self.directions, self.vectors, self._axes, strict=True
        ):
            w = ops.convert_to_tensor(kernel)
            W = as_matrix(ops.cast(w, "float32"), axes)
            u = ops.convert_to_tensor(vector)
            times = self.power_iterations if training else 0
            u, v = map(ops.stop_gradient, iterated(ops.stop_gradient(W), u, times))
            if training:
                vector.assign(u)
            sigma = ops.sum(v * ops.matmul(W, u))
            # A kernel of zeros stays one.
            found[id(kernel)] = w / ops.cast(ops.maximum(sigma, 1e-12), w.dtype)
        return found

    def get_config(self):
        return {**super().get_config(), "power_iterations": self.power_iterations}
