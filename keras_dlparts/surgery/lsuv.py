"""Layer-sequential unit variance: weights sized by the data that they see.

    W_l <- an orthogonal matrix                      unless told not to
    W_l <- W_l / deviation of u_l                    layer by layer, u_l = W_l h + b_l

u_l is the pre-activation, over batch and units, of what the layers before it make of
the data when they have been sized themselves. One pass does it: a layer's inputs are
final when it is called. Of a shared layer u_l is pooled over its calls: more passes.
Mishkin & Matas 2016, "All you need is a good init", arXiv:1511.06422.
"""

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend, graphs
from keras_dlparts.backend import feeding
from keras_dlparts.support.checks import check_count, check_number


def lsuv(
    model: keras.Model,
    data: Any,
    orthogonal: bool = True,
    tolerance: float = 0.05,
    rounds: int = 10,
    seed: int = 0,
) -> keras.Model:
    """Give the pre-activations of every layer variance 1 on data, by scaling kernels.

    For any model of Keras: nested, shared, residual, subclassed. Layers with a kernel
    are scaled: dense ones, convolutions, the projections of attention. Left as they
    are: normalisations, embeddings, recurrent layers, frozen layers, and kernels of
    zeros, which some blocks start from on purpose.

    Args:
        model: A built `keras.Model`. It is changed.
        data: A batch of inputs `x` or `(x, y)`, or what yields batches, of which the
            first is taken: a list of arrays is read as batches, so inputs in a list
            go into `(x, y)`. Some hundred samples are enough.
        orthogonal: Whether kernels are drawn anew first, orthogonal as in the paper.
            If not, only their sizes change.
        tolerance: Float, `> 0`. How far from 1 a variance may stay.
        rounds: Integer, `>= 1`. Passes over the batch at most.
        seed: Integer, for the orthogonal kernels.

    Returns:
        The model.

    Example:

    >>> dense = [keras.layers.Dense(50, "relu") for _ in range(5)]
    >>> model = keras.Sequential([keras.Input((50,)), *dense])
    >>> x = np.random.default_rng(0).normal(size=(200, 50)).astype("float32")
    >>> model = lsuv(model, x)
    >>> u = ops.matmul(keras.Sequential(dense[:4])(x), dense[4].kernel)
    >>> round(float(ops.std(u)), 2)
    1.0

    Reference: Mishkin & Matas 2016, https://arxiv.org/abs/1511.06422
    """
    check_number("tolerance", tolerance, above=0)
    check_count("rounds", rounds)
    x = _inputs(data)
    sizing = _Sizing(model)
    if not sizing.kernels:
        raise ValueError(
            "`model` must be built and have a layer with a kernel to scale. "
            f"Received: {getattr(model, 'name', model)!r}, without one"
        )
    if orthogonal:
        for i, kernel in enumerate(sizing.kernels.values()):
            draw = keras.initializers.Orthogonal(seed=seed + i)
            # There is no QR decomposition in half precision.
            dtype = backend.wide_dtype(kernel.dtype)
            kernel.assign(draw(kernel.shape, dtype))
    with backend.unmoved(model):
        sizing.count(lambda: model(x, training=True))
        for _ in range(rounds):
            off = sizing.round(lambda: model(x, training=True))
            if all(abs(v - 1) <= tolerance for v in off.values()):
                return model
    left = {name: v for name, v in off.items() if abs(v - 1) > tolerance}
    told = ", ".join(f"{name} ({v:.3g})" for name, v in [*left.items()][:5])
    warnings.warn(
        f"After {rounds} rounds the variance of pre-activations is not 1 in {told}. "
        "The inputs of a layer may all be 0, its biases large, or its kernel rescaled "
        "by the layer itself",
        stacklevel=2,
    )
    return model


def _inputs(data):
    """The inputs of the batch that data is, or of the first one that it yields."""
    if isinstance(data, tuple) and len(data) in (2, 3):  # (x, y), whatever x is
        return data[0]
    return next(iter(feeding.inputs(data, 1 << 30)))


def _kernel(layer):
    """The variable to scale, or None where a layer has none."""
    for name in ("pointwise_kernel", "kernel"):
        found = getattr(layer, name, None)
        if isinstance(found, keras.Variable):
            there = any(found is v for v in layer.trainable_variables)
            return found if there and ops.convert_to_numpy(found).any() else None
    return None


class _Sizing:
    """Scales the kernels of a model's layers as these are called."""

    def __init__(self, model):
        every = graphs.layers(model)
        looped = {
            id(inner)
            for layer in every
            if isinstance(layer, keras.layers.RNN)
            for inner in graphs.layers(layer)
        }
        self.layers = {id(a): a for a in every if id(a) not in looped and a.built}
        found = {key: _kernel(layer) for key, layer in self.layers.items()}
        # A model has the kernel of no layer but itself.
        self.kernels = {key: k for key, k in found.items() if k is not None}
        self.calls = {}

    def _watched(self, wrap):
        return backend.intercepted([self.layers[key] for key in self.kernels], wrap)

    def count(self, run):
        """Note how often each layer is called in a pass, where values can be seen."""
        self.calls = dict.fromkeys(self.kernels, 0)

        def wrap(layer, call):
            def counted(*arguments, **more):
                out = call(*arguments, **more)
                self.calls[id(layer)] += backend.known(out) is not None
                return out

            return counted

        with self._watched(wrap):
            run()

    def round(self, run):
        """{layer's name: the variance of its pre-activations} after one pass."""
        seen = {}

        def wrap(layer, call):
            def sized(*arguments, **more):
                times = self.calls[id(layer)]
                if times:
                    u = _before_activation(layer, call, arguments, more)
                    if times == 1:
                        self._scale(layer, u.var())
                        u = _before_activation(layer, call, arguments, more)
                    seen.setdefault(id(layer), []).append((u.mean(), (u**2).mean()))
                return call(*arguments, **more)

            return sized

        with self._watched(wrap):
            run()
        variances = {}
        for key, moments in seen.items():
            mean, square = np.mean(moments, axis=0)
            variances[key] = float(square - mean**2)
            if self.calls[key] > 1:
                self._scale(self.layers[key], variances[key])
        return {self.layers[key].name: v for key, v in variances.items()}

    def _scale(self, layer, variance):
        if np.isfinite(variance) and variance > 1e-20:
            kernel = self.kernels[id(layer)]
            with backend.full_precision():  # PyTorch would assign to a rounded copy
                kernel.assign(ops.convert_to_numpy(kernel) / np.sqrt(variance))


def _before_activation(layer, call, arguments, more):
    """What a layer makes of inputs without its activation, as an array."""
    function = vars(layer).get("activation")
    if function is not None:
        object.__setattr__(layer, "activation", keras.activations.linear)
    try:
        return ops.convert_to_numpy(call(*arguments, **more)).astype("float64")
    finally:
        if function is not None:
            object.__setattr__(layer, "activation", function)
