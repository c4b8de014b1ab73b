"""Gradients of a model on a batch, between gradient and step, and by hand."""

import contextvars
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_dlparts.backend import keras_private
from keras_dlparts.backend.basics import assign, name
from keras_dlparts.backend.loss_scale import times, unscaled_function
from keras_dlparts.backend.replication import on_one_device


def training_loss(model: keras.Model, x: Any, y: Any, sample_weight: Any = None) -> Any:
    """The loss that a compiled model is trained by, of one batch, in training mode."""
    prediction = model(x, training=True)
    return keras_private.compute_loss(model, x, y, prediction, sample_weight)


def gradient(model: keras.Model, x: Any, y: Any, sample_weight: Any = None) -> tuple:
    """The training loss of a compiled model on one batch, and its gradient.

    The gradients stand in the order of `model.trainable_variables`. The pass is a
    training pass: seed counters and moving averages step on.
    """
    return gradient_function(model, compiled=False)(x, y, sample_weight)


def gradient_function(
    model: keras.Model, compiled: bool = True, loss_of: Callable = training_loss
) -> Callable:
    """`gradient` of one model as a function of a batch, compiled for many calls.

    Args:
        model: A compiled model.
        compiled: Whether the function is compiled, where the backend does so.
        loss_of: Function `(model, x, y, sample_weight) -> loss`, a scalar, to take the
            gradient of.

    In float16 the loss is scaled meanwhile, as in training.
    """
    trainable, others = model.trainable_variables, model.non_trainable_variables
    loss_of = scaled(loss_of)

    if name() == "tensorflow":
        import tensorflow as tf

        def measure(*batch):
            with tf.GradientTape() as tape:
                loss = loss_of(model, *batch)
            gradients = tape.gradient(loss, [v.value for v in trainable])
            return loss, [dense(g) for g in gradients]

        if compiled:
            measure = tf.function(
                measure, jit_compile=model.jit_compile, autograph=False
            )
    elif name() == "jax":
        import jax

        pure = jax.value_and_grad(stateless_loss(model, loss_of), has_aux=True)
        pure = jax.jit(pure) if compiled else pure

        def measure(*batch):
            values = [v.value for v in trainable], [v.value for v in others]
            (loss, moved), gradients = pure(*values, *batch)
            assign(others, moved)
            return loss, gradients
    else:
        import torch

        def measure(*batch):
            loss = loss_of(model, *batch)
            values = [v.value for v in trainable]
            gradients = torch.autograd.grad(loss, values, allow_unused=True)
            return loss.detach(), list(gradients)

    at_its_scale = unscaled_function(model, measure)

    def measured(x, y, sample_weight=None):
        return at_its_scale(*as_tensors((x, y, sample_weight)))

    return on_one_device(measured)


def scaled(loss_of):
    """A loss as a function `(model, scale, x, y, sample_weight)`, times the scale."""
    return lambda model, scale, *batch: times(loss_of(model, *batch), scale)


def stateless_loss(model, loss_of):
    """For JAX: a loss as a function of values, and the state that it leaves."""
    trainable, others = model.trainable_variables, model.non_trainable_variables

    def loss_at(values, state, *batch):
        mapping = [*zip(trainable, values, strict=True)]
        mapping += zip(others, state, strict=True)
        with keras.StatelessScope(mapping, collect_losses=True):
            return loss_of(model, *batch), [v.value for v in others]

    return loss_at


def as_tensors(batch):
    """The arrays of a batch as tensors; None stays None."""
    return keras.tree.map_structure(
        lambda a: None if a is None else ops.convert_to_tensor(a), batch
    )


def dense(gradient: Any) -> Any:
    """A gradient as one tensor; None stays None.

    TensorFlow gives that of an embedding as rows, some of them several times.
    """
    if name() != "tensorflow" or gradient is None:
        return gradient
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)


def before_step(
    optimizer: keras.optimizers.Optimizer,
    transform: Callable,
    rate: Callable | None = None,
) -> None:
    """Put a function between an optimizer's gradients and its step.

        transform(gradients, variables) -> gradients
        rate(learning_rate) -> learning_rate

    The gradients are those that the step uses: unscaled, accumulated, and summed
    over the replicas of a `tf.distribute` strategy, which Keras does last, after its
    own clipping. They are dense.
    """
    step = keras_private.update_all(optimizer)
    if name() == "tensorflow":
        reduce = keras_private.sum_over_replicas(optimizer)

        def reduced(pairs):
            gradients, variables = zip(*reduce(pairs), strict=True)
            gradients = [dense(g) for g in gradients]
            return [*zip(transform(gradients, variables), variables, strict=True)]

        keras_private.set_sum_over_replicas(optimizer, reduced)
        if rate is not None:
            keras_private.set_update_all(optimizer, lambda g, v, r: step(g, v, rate(r)))
        return

    def stepped(gradients, variables, r):
        gradients = transform(gradients, variables)
        step(gradients, variables, r if rate is None else rate(r))

    keras_private.set_update_all(optimizer, stepped)


def around_step(
    optimizer: keras.optimizers.Optimizer, begin: Callable, end: Callable
) -> None:
    """Put functions of a variable around an optimizer's step.

        begin(variable), the step, end(variable)         for each variable

    They assign by `optimizer.assign`. Weight decay comes before, the constraint and the
    moving average of weights after.
    """
    if name() == "tensorflow":
        one = optimizer.update_step

        def update_step(gradient, variable, learning_rate):
            begin(variable)
            one(gradient, variable, learning_rate)
            end(variable)

        keras_private.set_update_step(optimizer, update_step)
        return

    step = keras_private.update_all(optimizer)

    def update_all(gradients, variables, learning_rate):
        for variable in variables:
            begin(variable)
        step(gradients, variables, learning_rate)
        for variable in variables:
            end(variable)

    keras_private.set_update_all(optimizer, update_all)


# Set while PyTorch differentiates twice, see `with_gradient`.
TWICE = contextvars.ContextVar("twice", default=False)


def with_gradient(forward: Callable, backward: Callable) -> Callable:
    """A function of tensors whose gradient is written by hand.

        forward(*arguments) -> (outputs, saved)
        backward(saved, upstream) -> one gradient for each argument

    `outputs` and `upstream` are tuples of tensors. A gradient may be a function without
    arguments instead, called where that gradient is wanted. TensorFlow and JAX
    differentiate the backward pass again where asked. PyTorch cannot see how `saved`
    came about: it refuses, and `curvature_function` lets it differentiate `forward`
    instead.
    """

    def every(saved, upstream):  # a compiler leaves out the gradients nobody uses
        return tuple(g() if callable(g) else g for g in backward(saved, upstream))

    if name() == "jax":
        import jax

        function = jax.custom_vjp(lambda *arguments: forward(*arguments)[0])
        function.defvjp(forward, every)
        return function
    if name() == "tensorflow":
        import tensorflow as tf

        @tf.custom_gradient
        def function(*arguments):
            outputs, saved = forward(*arguments)
            return outputs, lambda *upstream: every(saved, upstream)

        return function

    import torch

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(context, *arguments):
            outputs, context.saved = forward(*arguments)
            return outputs

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context, *upstream):
            found = backward(context.saved, upstream)
            wanted = zip(found, context.needs_input_grad, strict=True)
            return tuple(
                (g() if callable(g) else g) if needed else None for g, needed in wanted
            )

    def function(*arguments):
        return forward(*arguments)[0] if TWICE.get() else Function.apply(*arguments)

    return function
