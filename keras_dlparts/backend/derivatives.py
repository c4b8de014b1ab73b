"""Derivatives of functions of tensors: products with the Jacobian, from both sides."""

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts.backend.basics import name
from keras_dlparts.backend.gradients import TWICE


@contextlib.contextmanager
def _torch_twice():
    """Let functions with gradients written by hand be differentiated twice."""
    token = TWICE.set(True)
    try:
        yield
    finally:
        TWICE.reset(token)


def pullback(function: Callable, inputs: list) -> tuple[list, Callable]:
    """A function's outputs, and products of vectors with its Jacobian J.

        pull(u) = u J       one array for each input, zero where nothing depends on it

    Weights and other state that the function reads stay as they are on JAX; on
    TensorFlow and PyTorch what it assigns is assigned.

    Args:
        function: `function(*inputs)` gives a list of tensors.
        inputs: A list of arrays or tensors of floats.

    Returns:
        `(outputs, pull)`; `pull` may be called many times, with a list of arrays in
        the shapes of the outputs, and returns a list in the shapes of the inputs.
    """
    inputs = [ops.convert_to_tensor(x) for x in inputs]
    outputs, pull = _pullback(function, inputs)

    def pulled(upstream):
        found = pull([ops.convert_to_tensor(u) for u in upstream])
        return [
            ops.zeros_like(x) if g is None else ops.convert_to_tensor(g)
            for g, x in zip(found, inputs, strict=True)
        ]

    return outputs, pulled


def _pullback(function, inputs):
    if name() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            outputs = function(*inputs)
        return outputs, lambda u: tape.gradient(outputs, inputs, output_gradients=u)
    if name() == "jax":
        import jax

        outputs, pull = jax.vjp(_stateless(function), *inputs)
        return outputs, lambda u: list(pull(list(u)))

    import torch

    inputs = [x.detach().requires_grad_() for x in inputs]
    outputs = function(*inputs)
    # What does not depend on the inputs has no gradient to ask for.
    kept = [i for i, y in enumerate(outputs) if y.requires_grad]

    def pull(upstream):
        if not kept:
            return [None] * len(inputs)
        return torch.autograd.grad(
            [outputs[i] for i in kept],
            inputs,
            [upstream[i] for i in kept],
            allow_unused=True,
            retain_graph=True,
        )

    return [y.detach() for y in outputs], pull


def pushforward(function: Callable, inputs: list, vectors: list) -> list:
    """The product J v of a function's Jacobian with a vector: one array an output.

    It is the derivative along u of `u J`, which is linear in u: so it needs no forward
    mode, which functions with gradients written by hand lack.

    Args:
        function: `function(*inputs)` gives a list of tensors.
        inputs: A list of arrays or tensors of floats.
        vectors: The vector, a list of arrays in the shapes of the inputs.
    """
    inputs = [ops.convert_to_tensor(x) for x in inputs]
    vectors = [ops.convert_to_tensor(v) for v in vectors]
    if name() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as outer:
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(inputs)
                outputs = function(*inputs)
            u = [tf.zeros_like(y) for y in outputs]
            outer.watch(u)
            pulled = inner.gradient(outputs, inputs, output_gradients=u)
            pairs = [
                (g, v) for g, v in zip(pulled, vectors, strict=True) if g is not None
            ]
        if not pairs:
            return u
        pulled, vectors = zip(*pairs, strict=True)
        found = outer.gradient(list(pulled), u, output_gradients=list(vectors))
    elif name() == "jax":
        import jax

        outputs, pull = jax.vjp(_stateless(function), *inputs)
        u = [ops.zeros_like(y) for y in outputs]
        _, push = jax.vjp(lambda u: pull(u), u)
        (found,) = push(tuple(vectors))
    else:
        import torch

        inputs = [x.detach().requires_grad_() for x in inputs]
        with _torch_twice():
            outputs = function(*inputs)
        u = [torch.zeros_like(y).requires_grad_() for y in outputs]
        kept = [i for i, y in enumerate(outputs) if y.requires_grad]
        if not kept:
            return [torch.zeros_like(y) for y in outputs]
        pulled = torch.autograd.grad(
            [outputs[i] for i in kept],
            inputs,
            [u[i] for i in kept],
            create_graph=True,
            allow_unused=True,
        )
        pairs = [
            (g, v)
            for g, v in zip(pulled, vectors, strict=True)
            if g is not None and g.requires_grad
        ]
        if not pairs:
            return [torch.zeros_like(y) for y in outputs]
        pulled, vectors = zip(*pairs, strict=True)
        found = torch.autograd.grad(pulled, u, vectors, allow_unused=True)
    return [
        ops.zeros_like(y) if g is None else ops.convert_to_tensor(g)
        for g, y in zip(found, outputs, strict=True)
    ]


def _stateless(function):
    """For JAX: the function with what it assigns to variables thrown away."""

    def inner(*inputs):
        with keras.StatelessScope():
            return list(function(*inputs))

    return inner


def root(x: Any) -> Any:
    """The square root of a tensor `>= 0`, with the gradient 0 at 0, where it has none.

    >>> float(root(ops.convert_to_tensor(9.0))), float(root(ops.convert_to_tensor(0.0)))
    (3.0, 0.0)
    """
    there = x > 0
    found = ops.sqrt(ops.where(there, x, ops.ones_like(x)))
    return ops.where(there, found, ops.zeros_like(x))


def slope(function: Callable, x: Any) -> np.ndarray:
    """The derivative of a function that works on each element, at an array."""
    outputs, pull = pullback(lambda x: [function(x)], [x])
    return ops.convert_to_numpy(pull([ops.ones_like(outputs[0])])[0])
