"""Updates of variables that are made in some steps only, and groups of variables."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_dlparts.backend.basics import name


def note_group(variables: Sequence[keras.Variable], group: str) -> None:
    """Note on variables that they belong to a group, which `Phased` reads.

    The path of a variable tells where it was made, which need not be the model that it
    belongs to now.
    """
    for variable in variables:
        variable.dlparts_group = group


def update_if(
    condition: Any, update: Callable, tensors: Sequence, variables: Sequence
) -> None:
    """Call `update(tensors)` if a condition holds, else leave all as it is.

    Only what holds is computed: the condition is one of the compiled step. Under a
    `tf.distribute` strategy it must be the same on every replica; the replicas' sums
    that `update` takes are taken inside.

    Args:
        condition: A boolean tensor.
        update: A function of a list of tensors that assigns to variables.
        tensors: What to call it with. None may be among them.
        variables: All variables that it reads or assigns to, for JAX.
    """
    if name() == "torch":
        if bool(condition):
            update(tensors)
    elif name() == "jax":
        _jax(condition, update, tensors, variables)
    else:
        _tensorflow(condition, update, tensors)


def _jax(condition, update, tensors, variables):
    import jax

    values = [variable.value for variable in variables]

    def updated():
        with keras.StatelessScope([*zip(variables, values, strict=True)]) as scope:
            update(tensors)
        return [
            scope.get_current_value(variable).astype(value.dtype)
            for variable, value in zip(variables, values, strict=True)
        ]

    new = jax.lax.cond(condition, updated, lambda: values)
    for variable, value in zip(variables, new, strict=True):
        variable.assign(value)


def _tensorflow(condition, update, tensors):
    import tensorflow as tf

    if not tf.distribute.has_strategy():
        tf.cond(condition, lambda: _nothing(update, tensors), _nothing)
        return

    # A branch of a replica's own cannot wait for the other replicas: the branch is
    # taken for all of them together, and each makes the update inside.
    def together(strategy, condition, tensors):
        first = strategy.experimental_local_results(condition)[0]

        def each():
            strategy.extended.call_for_each_replica(update, args=(tensors,))
            return _nothing()

        tf.cond(first, each, _nothing)

    context = tf.distribute.get_replica_context()
    context.merge_call(together, args=(condition, tensors))


def _nothing(update=None, tensors=()):
    if update is not None:
        update(tensors)
