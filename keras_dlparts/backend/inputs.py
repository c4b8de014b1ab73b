"""Gradients with respect to what a layer is given, inside a loss."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_dlparts.backend.basics import assign, name


def input_gradient(function: Callable, x: Any) -> Any:
    """The gradient of the sum of `function(x)` with respect to x.

    It may stand in a loss: the weights that `function` uses get their gradient through
    it, by second derivatives.

    Args:
        function: A function of a tensor that leaves no trace: of a layer, take its
            `stateless_call`.
        x: Tensor. Nothing flows back to where it came from.
    """
    if name() == "tensorflow":
        import tensorflow as tf

        x = tf.stop_gradient(x)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            total = tf.reduce_sum(function(x))
        return tape.gradient(total, x)
    if name() == "jax":
        import jax

        return jax.grad(lambda x: ops.sum(function(x)))(jax.lax.stop_gradient(x))

    import torch

    if x.is_meta:  # only shapes are asked for
        return torch.empty_like(x)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (found,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    return found


def apart(layer: keras.layers.Layer, x: Any, training: bool) -> tuple:
    """A layer's output twice, with its gradient taken apart.

        (y, y)     of the first the gradient reaches the layer's weights, and not x;
                   of the second it reaches x, and not the layer's weights

    The layer is computed once, and its state moves once: TensorFlow and PyTorch walk
    back through the same pass a second time, and XLA finds that the two passes that
    are written here for JAX are the same.

    Args:
        layer: A built layer of one input and one output.
        x: Tensor.
        training: Boolean.
    """
    if name() == "tensorflow":
        return _tensorflow(layer, x, training)
    if name() == "jax":
        return _jax(layer, x, training)
    return _torch(layer, x, training)


def _tensorflow(layer, x, training):
    import tensorflow as tf

    inputs = tf.stop_gradient(x)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=training)

    @tf.custom_gradient
    def again(x):
        def backward(upstream):
            # One walk back is all that the tape is for.
            return tape.gradient(outputs, inputs, output_gradients=upstream)

        return tf.identity(outputs), backward

    return outputs, again(x)


def _jax(layer, x, training):
    import jax

    trainable = [v.value for v in layer.trainable_variables]
    others = [v.value for v in layer.non_trainable_variables]
    frozen = [*map(jax.lax.stop_gradient, trainable)]
    options = {"training": training}
    outputs, moved = layer.stateless_call(
        trainable, others, jax.lax.stop_gradient(x), **options
    )
    again, _ = layer.stateless_call(frozen, others, x, **options)
    assign(layer.non_trainable_variables, moved)
    return outputs, again


def _torch(layer, x, training):
    import torch

    if x.is_meta:
        outputs = layer(x, training=training)
        return outputs, outputs

    class Again(torch.autograd.Function):
        @staticmethod
        def forward(context, x, outputs):
            return outputs.clone()

        @staticmethod
        def backward(context, upstream):
            # PyTorch goes back in the order in which was computed, the last first, so
            # this comes before the walk back to the layer's weights, which frees it.
            (found,) = torch.autograd.grad(kept, inputs, upstream, retain_graph=True)
            return found, None

    inputs = x.detach()
    if not torch.is_grad_enabled() or not x.requires_grad:
        outputs = layer(inputs, training=training)
        return outputs, outputs
    inputs.requires_grad_()
    kept = outputs = layer(inputs, training=training)
    return outputs, Again.apply(x, outputs.detach())
