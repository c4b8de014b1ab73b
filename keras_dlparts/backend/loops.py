"""Loops in one compiled call: over time, and over the steps of training."""

import functools

import keras

from keras_dlparts.backend.basics import name
from keras_dlparts.backend.models import build_optimizer

# With more times at once nothing gets faster, and what is made takes memory.
_AHEAD = 32


def scan(step, carry, sequences, widths, reverse=False, unroll=1, ahead=None):
    """A loop over the first axis that nothing differentiates through.

        step(carry, slices) -> (carry, values)     slices and values of one time

    Args:
        step: The function. Carry, slices and values are tuples of tensors.
        carry: The carry to begin with.
        sequences: Tuple of tensors `(time, ...)`, or of values that `scan` gave.
        widths: The size of the last axis of each value. Values are float32, of shape
            `(batch, width)`.
        reverse: Whether to go from the last time to the first.
        unroll: How many times one round of JAX' loop takes.
        ahead: Function `slices -> slices` for what does not depend on the carry. `step`
            gets what it gives. PyTorch calls it for `_AHEAD` times at once.

    Returns: the last carry, and the values of all times, of which `stacked` makes
    tensors. TensorFlow keeps them apart, and stacking them takes their memory again.
    """
    if name() == "torch":
        length, stacked = len(sequences[0]), None
        for t, slices in _in_turn(sequences, ahead, reverse):
            carry, values = step(carry, slices)
            if stacked is None:
                stacked = tuple(v.new_empty((length, *v.shape)) for v in values)
            for whole, value in zip(stacked, values, strict=True):
                whole[t] = value
        return carry, stacked

    if ahead is not None:
        rest = step

        def step(carry, slices):
            return rest(carry, ahead(slices))

    if name() == "jax":
        import jax

        return jax.lax.scan(step, carry, sequences, reverse=reverse, unroll=unroll)

    import tensorflow as tf

    def listed(sequence):
        if isinstance(sequence, tf.TensorArray):
            return sequence
        # As a Python integer where it is known: tf2onnx makes the bound of a loop an
        # int64, and with it whatever else in the loop is the same int32 tensor.
        length = sequence.shape[0]
        if length is None:
            length = tf.shape(sequence)[0]
        lengths.append(length)
        array = tf.TensorArray(sequence.dtype, length, clear_after_read=False)
        return array.unstack(sequence)

    lengths = []
    given = [listed(sequence) for sequence in sequences]
    length = lengths[0] if lengths else given[0].size()
    batch = given[0].element_shape[0]
    arrays = [
        tf.TensorArray(
            tf.float32, length, element_shape=(batch, w), clear_after_read=False
        )
        for w in widths
    ]

    def body(i, carry, arrays):
        t = length - 1 - i if reverse else i
        carry, values = step(carry, tuple(array.read(t) for array in given))
        written = [a.write(t, v) for a, v in zip(arrays, values, strict=True)]
        return i + 1, carry, written

    _, carry, arrays = tf.while_loop(
        lambda i, *_: i < length, body, (0, carry, arrays), maximum_iterations=length
    )
    return carry, tuple(arrays)


def _in_turn(sequences, ahead, reverse):
    """Yield each time and its slices, which `ahead` makes for several times at once."""
    starts = range(0, len(sequences[0]), _AHEAD)
    for start in reversed(starts) if reverse else starts:
        made = tuple(s[start : start + _AHEAD] for s in sequences)
        made = made if ahead is None else ahead(made)
        times = range(len(made[0]))
        for t in reversed(times) if reverse else times:
            yield start + t, tuple(s[t] for s in made)


def stacked(values):
    """What `scan` gave for one of its values, as a tensor (time, batch, width)."""
    return values.stack() if hasattr(values, "stack") else values


def can_run_chunks(model):
    """Whether `run_chunks` can train this compiled model here."""
    if name() == "torch" or model.run_eagerly:
        return False
    if type(model).train_step is not keras.Model.train_step:
        return False
    if name() == "jax":
        return bool(model.jit_compile) and keras.distribution.distribution() is None
    return model.distribute_strategy.num_replicas_in_sync == 1


def run_chunks(model, batch_size):
    """Let `fit` train on many batches a call, in one compiled loop.

    Keras' `steps_per_execution` goes through Python for each batch, and on JAX for each
    step too. Here `fit` gets chunks of several batches joined, and one call takes a
    chunk apart again and makes a step on each batch. A smaller last batch has a step of
    its own. This holds until the model is compiled again.
    """

    def parts(data, whole):
        """The whole batches of a chunk, and what is left of it."""
        cut = whole * batch_size

        def taken(rows):
            # Beside sample weights the targets may be None.
            return keras.tree.map_structure(
                lambda a: None if a is None else a[rows], data
            )

        return taken(slice(cut)), taken(slice(cut, None))

    def next_chunk(iterator):
        # Keras' `pack_x_y_sample_weight` would drop weights that have no targets.
        data = keras.utils.unpack_x_y_sample_weight(next(iterator))
        while data[-1] is None:
            data = data[:-1]
        return data

    if name() == "jax":
        import jax

        def rows(data):
            return len(keras.tree.flatten(data)[0])

        @functools.partial(jax.jit, donate_argnums=0)
        def run(state, data):
            whole = rows(data) // batch_size
            batches, rest = parts(data, whole)

            def step(state, batch):
                logs, moved = model.train_step(state, batch)
                # A scan's state must not change its types, weak ones included.
                cast = jax.tree.map(lambda a, b: b.astype(a.dtype), state, moved)
                return cast, logs

            if whole:
                batches = jax.tree.map(
                    lambda a: a.reshape(whole, batch_size, *a.shape[1:]), batches
                )
                state, logs = jax.lax.scan(step, state, batches)
                logs = jax.tree.map(lambda a: a[-1], logs)
            if rows(rest):
                state, logs = step(state, rest)
            return logs, state

        model.train_function = lambda state, iterator: run(state, next_chunk(iterator))
        return

    import tensorflow as tf

    step = tf.function(
        model.train_step,
        jit_compile=model.jit_compile,
        reduce_retracing=True,
        autograph=False,  # as in `fit`
    )

    def run(data):
        count = tf.shape(keras.tree.flatten(data)[0])[0]
        whole = count // batch_size

        def body(i):
            step(
                keras.tree.map_structure(
                    lambda a: tf.ensure_shape(
                        a[i * batch_size : (i + 1) * batch_size],
                        (batch_size, *a.shape[1:]),
                    ),
                    data,
                )
            )
            return i + 1

        def leave():
            step(parts(data, whole)[1])
            return whole + 1

        tf.while_loop(lambda i: i < whole, body, [0])
        tf.cond(count > whole * batch_size, leave, lambda: whole)
        return model.get_metrics_result()

    traced = None

    def train_function(iterator):
        nonlocal traced
        data = keras.tree.map_structure(tf.convert_to_tensor, next_chunk(iterator))
        if traced is None:
            # For any length, or the length of the first chunk, which is another one
            # after a resume, would decide how all chunks are computed.
            signature = keras.tree.map_structure(
                lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), data
            )
            traced = tf.function(run, input_signature=[signature], autograph=False)
        return traced(data)

    build_optimizer(model)  # not within the loop
    model.train_function = train_function


def pass_over(given, items):
    """What a training function gives that takes its data and does nothing with it.

    Args:
        given: The arguments that `fit` gave it.
        items: Integer, how many items of the data a call takes.
    """
    if name() == "torch":  # `fit` has taken the data from its loader
        return {}
    for _ in range(items):
        next(given[-1])
    # On JAX the function is given the model's state, and gives it back.
    return ({}, given[0]) if name() == "jax" else {}
