"""Hessian-vector products of a model's training loss."""

import contextlib
from collections.abc import Callable

import keras
from keras import ops

from keras_dlparts.backend.basics import assign, name
from keras_dlparts.backend.gradients import (
    TWICE,
    as_tensors,
    dense,
    scaled,
    stateless_loss,
    training_loss,
)
from keras_dlparts.backend.loss_scale import unscaled_function
from keras_dlparts.backend.replication import on_one_device


@contextlib.contextmanager
def _smooth_moments():
    """Give TensorFlow's batch statistics their second derivative.

    `tf.nn.moments` stops the gradient at the mean inside the variance. That changes no
    first derivative, but the second one lacks its part through the mean: every Hessian
    of a net with batch normalisation would be wrong.
    """
    import tensorflow as tf

    def moments(x, axes, shift=None, keepdims=False, name=None):
        wide = tf.cast(x, tf.float32) if x.dtype == tf.float16 else x
        centre = tf.reduce_mean(wide, axes, keepdims=True)
        mean = centre if keepdims else tf.squeeze(centre, axes)
        variance = tf.reduce_mean(tf.square(wide - centre), axes, keepdims=keepdims)
        return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)

    theirs = tf.nn.moments
    tf.nn.moments = moments
    try:
        yield
    finally:
        tf.nn.moments = theirs


def curvature_function(model: keras.Model, compiled: bool = True) -> Callable:
    """Hessian-vector products of a compiled model's training loss.

        (vectors, x, y, sample_weight) -> (loss, gradients, H v)

    Loss, gradient and product belong to one training pass, so to the same batch and
    masks. `vectors` are arrays in the order and shapes of
    `model.trainable_variables`, as are `gradients` and `H v`; all are zero where the
    loss does not depend on a variable. Seed counters and moving averages step on.

    A product costs a few gradients, and no matrix is ever made: the derivative of
    the gradient along v, by a second reverse pass on TensorFlow and PyTorch and by a
    forward pass over the reverse one on JAX. Pearlmutter 1994, "Fast exact
    multiplication by the Hessian". Operations that a backend differentiates once only
    (cuDNN's recurrent loops) raise that backend's error. In float16 the loss is scaled
    meanwhile, as in training.
    """
    trainable, others = model.trainable_variables, model.non_trainable_variables
    loss_of = scaled(training_loss)

    def zeros_for_none(found, values):
        return [
            ops.zeros_like(v) if f is None else dense(f)
            for f, v in zip(found, values, strict=True)
        ]

    if name() == "tensorflow":
        import tensorflow as tf

        def measure(scale, vectors, *batch):
            values = [v.value for v in trainable]
            with tf.GradientTape() as outer:
                with tf.GradientTape() as inner, _smooth_moments():
                    loss = loss_of(model, scale, *batch)
                gradients = zeros_for_none(inner.gradient(loss, values), values)
                slope = tf.add_n(
                    [
                        tf.reduce_sum(g * v)
                        for g, v in zip(gradients, vectors, strict=True)
                    ]
                )
            products = outer.gradient(slope, values)
            return loss, gradients, zeros_for_none(products, values)

        if compiled:
            measure = tf.function(
                measure, jit_compile=model.jit_compile, autograph=False
            )
    elif name() == "jax":
        import jax

        gradient_at = jax.value_and_grad(stateless_loss(model, loss_of), has_aux=True)

        def pure(values, state, scale, vectors, *batch):
            def at(values):
                (loss, moved), gradients = gradient_at(values, state, scale, *batch)
                return gradients, (loss, moved)

            return jax.jvp(at, (values,), (vectors,), has_aux=True)

        pure = jax.jit(pure) if compiled else pure

        def measure(scale, vectors, *batch):
            values = [v.value for v in trainable], [v.value for v in others]
            gradients, products, (loss, moved) = pure(*values, scale, vectors, *batch)
            assign(others, moved)
            return loss, gradients, products
    else:
        import torch

        def measure(scale, vectors, *batch):
            values = [v.value for v in trainable]
            token = TWICE.set(True)
            try:
                loss = loss_of(model, scale, *batch)
            finally:
                TWICE.reset(token)
            gradients = zeros_for_none(
                torch.autograd.grad(loss, values, create_graph=True, allow_unused=True),
                values,
            )
            slope = sum((g * v).sum() for g, v in zip(gradients, vectors, strict=True))
            products = [None] * len(values)
            if slope.requires_grad:  # not so where the loss is linear
                products = torch.autograd.grad(slope, values, allow_unused=True)
            return (
                loss.detach(),
                [g.detach() for g in gradients],
                zeros_for_none(products, values),
            )

    at_its_scale = unscaled_function(model, measure)

    def measured(vectors, x, y, sample_weight=None):
        vectors = [
            ops.convert_to_tensor(vector, variable.dtype)
            for vector, variable in zip(vectors, trainable, strict=True)
        ]
        return at_its_scale(vectors, *as_tensors((x, y, sample_weight)))

    return on_one_device(measured)
