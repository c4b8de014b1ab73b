"""One trace of a function that a graph of TensorFlow calls many times.

TensorFlow builds the graph of a step by running Python, then builds its gradient, and
then optimizes both, operation by operation. Where a net repeats a block hundreds of
times, one function for all of them is built and optimized once, and the graph has one
operation for each call and one for the gradient of each.

    y = f(x, trainable values, other variables)

What trains is handed over as values, which have gradients. The other variables, such as
moving averages and states of random draws, are handed over themselves, and f assigns to
them. If f returned their new values, TensorFlow would hand zeros to f's gradient as the
gradients of these, and would then make and optimize a copy of f's gradient for each
call, with that call's zeros in it.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras

from keras_dlparts.backend import keras_private
from keras_dlparts.backend.basics import name

_NOTES = "_dlparts_notes"  # an attribute of a graph


def graph_notes() -> dict | None:
    """A dict that lives as long as the graph that TensorFlow builds just now.

    None where no graph is built; where variables stand for values of a
    `keras.StatelessScope`, which a graph cannot assign to; and under a strategy, whose
    variables are several.
    """
    if name() != "tensorflow" or keras_private.in_stateless_scope():
        return None
    import tensorflow as tf

    if tf.executing_eagerly() or tf.distribute.has_strategy():
        return None
    graph = tf.compat.v1.get_default_graph()
    if not hasattr(graph, _NOTES):
        setattr(graph, _NOTES, {})
    return getattr(graph, _NOTES)


def traced_once(
    function: Callable, key: Hashable, x: Any, variables: Sequence[keras.Variable]
) -> Any:
    """`function(x)`, traced once for each key in the graph that is being built.

    A call costs about a tenth of a millisecond more than the operations in it, so it is
    worth it for hundreds of calls. Use it where `graph_notes()` is not None.

    Args:
        function: A function of one tensor that gives one tensor. It reads variables by
            calls of layers only, as these cast them to their own dtypes.
        key: Says, with the shape and dtype of `x`, all that the function computes.
        x: What to call it with.
        variables: All variables that the function reads or assigns to. Those of a call
            take the places of those of the call that was traced.
    """
    import tensorflow as tf

    def pure(x, *values):
        pairs = [*zip(variables, values, strict=True)]
        # The layers inside cast what they read, and nothing else is to be cast.
        with keras_private.no_autocast(), keras.StatelessScope(pairs) as scope:
            before = [scope.get_current_value(variable) for variable in variables]
            y = function(x)
            after = [scope.get_current_value(variable) for variable in variables]
        for value, old, new in zip(values, before, after, strict=True):
            if new is not old:
                value.assign(new)
        return y

    trains = tuple(variable.trainable for variable in variables)
    key = key, x.dtype, str(x.shape), trains
    traced = graph_notes()
    if traced is None:
        raise ValueError(
            "`traced_once` must be called where `graph_notes()` is not None. Received: "
            f"None, for {key[0]!r}; call the function as it is there."
        )
    if key not in traced:
        # Otherwise TensorFlow puts the function's operations in the place of each call.
        apart = {"_noinline": True}
        traced[key] = tf.function(pure, autograph=False, experimental_attributes=apart)
    with keras_private.no_autocast():
        values = [variable.value for variable in variables]
    return traced[key](
        x,
        *[
            tf.convert_to_tensor(value) if train else value
            for value, train in zip(values, trains, strict=True)
        ],
    )
