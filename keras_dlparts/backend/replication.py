"""Replicas of a `tf.distribute` strategy, and variables that are right over them."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts.backend import keras_private
from keras_dlparts.backend.basics import name, on_host


def replica() -> tuple:
    """(this replica's id, how many there are): (0, 1) outside of a strategy.

    The id is a tensor where the strategy traces a function.
    """
    if name() != "tensorflow":
        return 0, 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync


def scope_of(model: keras.Model) -> AbstractContextManager:
    """A context in which variables are made as those of a model: for its strategy."""
    if name() != "tensorflow":
        return contextlib.nullcontext()
    return model.distribute_strategy.scope()


def on_one_device(function: Callable) -> Callable:
    """The function run as if no `tf.distribute` scope were open around the call.

    For what measures a model from the host, such as a callback of a `fit` in a scope.
    Within a replica it is the function itself.
    """
    if name() != "tensorflow":
        return function
    import tensorflow as tf

    @functools.wraps(function)
    def run(*arguments, **more):
        if not tf.distribute.in_cross_replica_context():
            return function(*arguments, **more)
        with keras_private.outside_of_strategies():
            return function(*arguments, **more)

    return run


def of_all_replicas(x: Any) -> Any:
    """The rows of all replicas' tensors, in the order of the whole batch.

    In a `call`, wrap it in `losses_kept_apart`.
    """
    if replica()[1] == 1:
        return x
    import tensorflow as tf

    rows = tf.distribute.get_replica_context().all_gather(x, axis=0)
    return tf.ensure_shape(rows, (None, *x.shape[1:]))  # it forgets what was known


@contextlib.contextmanager
def losses_kept_apart() -> Iterator[None]:
    """A context in which replicas may wait for one another inside a `call`.

    While one waits, the next begins the same model's call, which clears the losses that
    layers have added so far, and adds its own. Here each gets its own back.
    """
    if replica()[1] == 1:
        yield
        return
    shared = keras_private.losses_of_call()
    own = [[*losses] for losses in shared]
    yield
    for losses, kept in zip(shared, own, strict=True):
        losses[:] = kept


def number(variable: Any) -> float:
    """The value of a variable of one element, which replicas may hold a copy each."""
    return float(ops.convert_to_numpy(variable))


def running_variable(
    shape: tuple,
    name: str,
    initializer: Any = "zeros",
    aggregation: Literal["mean", "only_first_replica"] = "mean",
    dtype: str = "float32",
) -> keras.Variable:
    """A variable for what a layer notes in training passes, right over replicas too.

    In a step each replica of a `tf.distribute` strategy reads and writes a value of its
    own, without waiting for the others. What the host reads, and saves, is made of
    these. Without a strategy it is an ordinary variable that is not trained.

    Args:
        shape: Tuple of integers.
        name: String.
        initializer: As `keras.Variable` takes it.
        aggregation: What the host reads: the `"mean"` of the replicas' values, or that
            of the `"only_first_replica"`.
        dtype: String. It is kept, whatever the dtype policy.
    """
    return keras.Variable(
        initializer,
        shape=shape,
        dtype=dtype,
        trainable=False,
        autocast=False,
        aggregation=aggregation,
        synchronization="on_read",
        name=name,
    )


class RunningSums(keras.random.SeedGenerator):
    """Sums that a layer adds to in each call, and that are none of its weights.

    They are not saved and do not count as parameters, and what replicas add goes into
    one sum. It draws no seeds. It is a subclass of the seed generator because JAX'
    training step keeps the state of a layer's weights and of its seed generators only.

    Args:
        size: Integer. How many sums.
    """

    def __init__(self, size: int):
        self.name = "running_sums"
        self.state = keras.Variable(
            np.zeros(size, "float32"),
            dtype="float32",
            trainable=False,
            autocast=False,
            aggregation="sum",
            synchronization="on_read",
            name="running_sums",
        )

    def add(self, values):
        self.state.assign(self.state + values)

    def read(self, otherwise):
        """The sums. Within a step of JAX' `fit`, which at its end has the values of
        metrics only, the value of `otherwise`, a variable of a metric."""
        if name() == "jax" and not on_host():
            return otherwise.value
        return self.state.value

    def reset(self):
        self.state.assign(ops.zeros(self.state.shape))
