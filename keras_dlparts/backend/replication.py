"""Replicas of a `tf.distribute` strategy, and variables that are right over them."""

import keras
import numpy as np
from keras import ops

from keras_dlparts.backend.basics import name, on_host


def replica():
    """(this replica's id, how many there are); (0, 1) outside a strategy."""
    if name() != "tensorflow":
        return 0, 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync


def number(variable):
    """The value of a variable of one element, also of one that replicas hold."""
    return float(ops.convert_to_numpy(variable))


def running_variable(
    shape, name, initializer="zeros", aggregation="mean", dtype="float32"
):
    """A variable for what a layer notes in training passes, right over replicas too.

    In a step each replica reads and writes its own, without waiting for the others.
    What the host reads, and saves, is their `aggregation`: `"mean"`, or that of the
    `"only_first_replica"`. Elsewhere it is an ordinary variable that is not trained.
    Its dtype is kept, whatever the dtype policy.
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
    """Sums that a layer adds to in each call and that are none of its weights.

    They are neither saved nor counted, and add up over replicas. JAX' step carries
    state that is a weight or a seed generator's and drops all else, so this is a seed
    generator by birth; it draws nothing.

    Args:
        size: Integer. How many sums.
    """

    def __init__(self, size):
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
        """The sums; `otherwise`, a metric's variable, within a step of JAX' `fit`,
        which has taken all state but the metrics' away."""
        if name() == "jax" and not on_host():
            return otherwise.value
        return self.state.value

    def reset(self):
        self.state.assign(ops.zeros(self.state.shape))
