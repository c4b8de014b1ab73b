"""Products of vectors with the Jacobian of a function, inside a loss."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_dlparts.backend.basics import name


def vector_jacobian(function: Callable, x: Any, v: Any) -> tuple:
    """(y, v J) of y = function(x), with J = dy/dx, through which gradients pass.

    Each row of v J belongs to a row of x where the function treats rows apart. The
    function must change no state: call layers by `stateless_call`.

    Args:
        function: A function of one tensor.
        x: A tensor.
        v: A tensor of the shape of y, or a function of y that gives one.
    """
    if name() == "tensorflow":
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        v = v(y) if callable(v) else v
        return y, tape.gradient(y, x, v, unconnected_gradients="zero")
    if name() == "jax":
        import jax

        y, pulled = jax.vjp(function, ops.convert_to_tensor(x))
        return y, pulled(v(y) if callable(v) else v)[0]

    import torch

    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        y = function(x)
        v = v(y) if callable(v) else v
        if not y.requires_grad:
            return y, torch.zeros_like(x)
        (product,) = torch.autograd.grad(
            y, x, v, create_graph=True, materialize_grads=True
        )
        return y, product
