"""Which backend runs, and what it can do."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts.backend import keras_private


def name() -> str:
    """The running backend: "tensorflow", "jax" or "torch"."""
    return keras.backend.backend()


def can_compile() -> bool:
    """Whether `jit_compile=True` works wherever this backend runs.

    PyTorch's compiler needs a C++ compiler on the machine, and TensorFlow compiles
    nothing once its operations were made deterministic.
    """
    if name() == "tensorflow":
        return not keras_private.is_deterministic_tensorflow()
    return name() == "jax"


def accelerators() -> list[str]:
    """The names of the devices besides the processor."""
    if name() == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices()
        return [d.name for d in devices if d.device_type != "CPU"]
    if name() == "jax":
        import jax

        return [str(d) for d in jax.devices() if d.platform != "cpu"]
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def make_deterministic():
    """Make the backend's operations repeat bit by bit, for this process' life."""
    if name() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif name() == "torch":
        import torch

        torch.use_deterministic_algorithms(True)


def compiled(function: Callable, static: tuple[str, ...] = ()) -> Callable:
    """Compile a function of tensors that no gradient is taken of.

    PyTorch, which compiles nothing here, runs it without noting gradients.

    Args:
        function: A function that changes nothing and takes its tensors, seeds and
            weights as arguments.
        static: Names of the arguments that are no tensors. They are given by name.
    """
    if name() == "jax":
        import jax

        return jax.jit(function, static_argnames=static)
    if name() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True, autograph=False)

    import torch

    return torch.no_grad()(function)


def known(tensor: Any) -> np.ndarray | None:
    """A tensor's value as a numpy array, or None while a function is being traced."""
    if name() == "jax":
        import jax

        traced = isinstance(tensor, keras.KerasTensor | jax.core.Tracer)
        return None if traced else np.asarray(tensor)
    if name() == "tensorflow":
        import tensorflow as tf

        symbolic = not tf.is_tensor(tensor) or not hasattr(tensor, "numpy")
        return None if symbolic else tensor.numpy()
    on_meta = isinstance(tensor, keras.KerasTensor) or tensor.is_meta
    return None if on_meta else ops.convert_to_numpy(tensor)


def wide_dtype(dtype: Any) -> str:
    """What sums and inverses of a dtype are taken in: float64 as it is, or float32.

    `keras.backend.result_type` knows no float64 on PyTorch.

    >>> wide_dtype("bfloat16"), wide_dtype("float64")
    ('float32', 'float64')
    """
    is_float64 = keras.backend.standardize_dtype(dtype) == "float64"
    return "float64" if is_float64 else "float32"


def at_least_float32(tensor: Any) -> Any:
    """A tensor of half precision in float32, any other as it is.

    >>> keras.backend.standardize_dtype(at_least_float32(ops.ones(2, "float16")).dtype)
    'float32'
    """
    if not keras.backend.is_float_dtype(tensor.dtype):
        return tensor
    return ops.cast(tensor, wide_dtype(tensor.dtype))


def in_reach(tensor: Any) -> bool:
    """Whether a tensor can be used here: not if a loop or branch that TensorFlow traces
    has made it within."""
    if name() != "tensorflow" or isinstance(tensor, keras.KerasTensor):
        return True
    import tensorflow as tf

    if not tf.is_tensor(tensor) or tf.executing_eagerly() or hasattr(tensor, "numpy"):
        return True
    return tensor.graph is tf.compat.v1.get_default_graph()


def require(condition: Any, message: str, values: Any) -> None:
    """Raise ValueError unless a boolean tensor is true.

    The error tells the smallest and the largest of the values. In a compiled step
    TensorFlow raises an error of its own with the message. XLA can raise none, so
    with `jit_compile=True`, and on JAX, a compiled step raises nothing.
    """
    value = known(condition)
    if value is None:
        if name() == "tensorflow" and ops.is_tensor(condition):
            import tensorflow as tf

            tf.debugging.Assert(condition, [message])
    elif not value:
        values = known(ops.cast(values, "float32"))
        raise ValueError(
            f"{message}. Received: {values.min():.6g} to {values.max():.6g}"
        )


def cond(condition: Any, yes: Callable, no: Callable) -> Any:
    """`yes()` or `no()`. Outside of a traced function only that one is looked at."""
    value = known(condition)
    if value is None:
        return ops.cond(condition, yes, no)
    return yes() if value else no()


def recorded() -> bool:
    """Whether PyTorch's exporter notes down what is computed.

    It notes the rounds that a loop takes on its sample. A loop that ends when a value
    says so must then be one of a fixed number of rounds.
    """
    if name() != "torch":
        return False
    import torch

    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def on_host() -> bool:
    """Whether variables have values here: not so while JAX traces a step."""
    return not keras_private.in_stateless_scope()


def variable_value(variable: keras.Variable) -> np.ndarray | None:
    """A variable's value as a numpy array, or None where it has none.

    TensorFlow's variables have one while a function is traced. JAX' have then the one
    from before the trace, but none while `fit` traces its step.
    """
    if not on_host():
        value = keras_private.own_value(variable) if name() == "jax" else None
        return None if value is None else known(value)
    if name() == "tensorflow":
        import tensorflow as tf

        with tf.init_scope():
            return ops.convert_to_numpy(variable)
    return ops.convert_to_numpy(variable)


def full_precision() -> AbstractContextManager:
    """A context in which variables are read in their own dtype, not the policy's."""
    return keras_private.no_autocast()


def traced(function: Callable, *inputs: Any) -> Any:
    """What a function of tensors gives for `keras.KerasTensor`s, which have no values;
    nothing is computed and no variable changes."""
    return keras_private.compute_output_spec(function, *inputs)


def assign(variables, values):
    """Give each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
