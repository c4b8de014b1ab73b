"""The contractive penalty: the squared Frobenius norm of the code's Jacobian.

    J = dh/dx,   ||J||_F^2 = sum_j sum_i (dh_j / dx_i)^2           of each sample
    one dense layer   h = s(x W + c):  sum_j s'_j^2 sum_i W_ij^2   exactly
    any encoder       E ||v J||^2,  v_j = +1 or -1 with equal chance

The second is an unbiased estimate by one product with the Jacobian (Hutchinson 1990).
Shapes: x (batch, ...), h and v (batch, units) -> (batch,).
Rifai et al. 2011, "Contractive auto-encoders", ICML.
"""

import keras
from keras import ops

from keras_dlparts import backend

# s' in terms of h = s(a).
_SLOPES = {
    keras.activations.sigmoid: lambda h: h * (1 - h),
    keras.activations.tanh: lambda h: 1 - ops.square(h),
    keras.activations.linear: ops.ones_like,
}


def is_one_dense(layers):
    """Whether the exact norm is known of an encoder: one Dense layer, maybe flattened
    before."""
    layers = [layer for layer in layers if not isinstance(layer, keras.layers.Flatten)]
    one = len(layers) == 1 and isinstance(layers[0], keras.layers.Dense)
    return one and layers[0].activation in _SLOPES


def exact(h, kernel, activation):
    """||J||_F^2 of each row, of a dense layer with that kernel."""
    slope = _SLOPES[activation](ops.cast(h, "float32"))
    lengths = ops.sum(ops.square(ops.cast(kernel, "float32")), axis=0)
    return ops.sum(ops.square(slope) * lengths, axis=-1)


def signs(shape, seed):
    """v, of the shape of the code."""
    u = keras.random.uniform(shape, dtype="float32", seed=seed)
    return ops.cast(ops.where(u < 0.5, -1.0, 1.0), "float32")


def estimated(function, x, v):
    """||v J||^2 of each row for the probe v, of h = function(x).

    `function` must change no state.
    """
    product = backend.input_gradient(lambda x: ops.cast(function(x), "float32") * v, x)
    product = ops.cast(product, "float32")
    return ops.sum(ops.square(product), axis=tuple(range(1, len(product.shape))))
