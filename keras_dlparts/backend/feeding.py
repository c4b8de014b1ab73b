"""The inputs of a model, batch by batch, from whatever `fit` and `predict` take, and
data that an accelerator holds.
"""

import keras
import numpy as np

from keras_dlparts.backend.basics import at_least_float32, name

_SHARE_OF_MEMORY = 1 / 8


def outputs(model, data, batch_size):
    """What a model or layer makes of all inputs in inference, one array.

    It has float32 at least: numpy has no bfloat16 of its own, and neither files of
    arrays nor its sums suit half precision.

    `predict` shares each batch among the devices of a strategy, some of which may have
    no part of it, and takes JAX' processes to give a part of the data each. Here every
    process takes all of it.

    Args:
        model: A model with one output.
        data, batch_size: As for `inputs`.

    >>> outputs(keras.layers.ReLU(), np.arange(-1.0, 2.0), 2).tolist()
    [0.0, 0.0, 1.0]
    """
    made = (model(x, training=False) for x in inputs(data, batch_size))
    found = [keras.ops.convert_to_numpy(at_least_float32(each)) for each in made]
    return np.concatenate(found)


def inputs(data, batch_size):
    """Yield the inputs of each batch.

    Args:
        data: An array, a dict or tuple of arrays, a `keras.utils.PyDataset`, or what
            yields batches `x` or `(x, y, ...)`, such as a `tf.data.Dataset`.
        batch_size: Integer. For arrays.

    >>> import numpy as np
    >>> [x.tolist() for x in inputs(np.arange(3), 2)]
    [[0, 1], [2]]
    """
    batches = data
    if isinstance(data, keras.utils.PyDataset):
        batches = (data[i] for i in range(len(data)))
    elif is_arrays(data):
        count = len(keras.tree.flatten(data)[0])
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            yield keras.tree.map_structure(lambda a, rows=rows: a[rows], data)
        return
    for batch in batches:
        yield keras.utils.unpack_x_y_sample_weight(batch)[0]


def is_arrays(data):
    """Whether data is one array or a dict or tuple of them, not batches."""
    if isinstance(data, dict | tuple):
        return all(hasattr(a, "shape") for a in keras.tree.flatten(data))
    return hasattr(data, "shape")


def count(data, batch_size):
    """How many batches, or None where only going through tells."""
    if is_arrays(data):
        return -(-len(keras.tree.flatten(data)[0]) // batch_size)
    return len(data) if hasattr(data, "__len__") else None


def weighs_without_targets():
    """Whether `fit` can read batches `(x, None, sample_weight)`.

    On TensorFlow Keras 3.15 makes a `tf.data.Dataset` of them that fails at the None.
    """
    return name() != "tensorflow"


def can_hold(arrays):
    """Whether an accelerator should hold arrays for as long as a training lasts.

    That is JAX' one, of whose memory they take an eighth at most. Keras' other backends
    bring each batch to the device themselves.

    Args:
        arrays: Arrays in any structure.
    """
    flat = [a for a in keras.tree.flatten(arrays) if a is not None]
    return (
        all(type(a) is np.ndarray and a.dtype.kind in "biuf" for a in flat)
        and sum(a.nbytes for a in flat) <= _SHARE_OF_MEMORY * memory_of_accelerator()
    )


def memory_of_accelerator():
    """The bytes that JAX may take on its accelerator; 0 without one."""
    if name() != "jax":
        return 0
    import jax

    return (jax.devices()[0].memory_stats() or {}).get("bytes_limit", 0)


def hold(arrays):
    """The same arrays, copied to JAX' device."""
    import jax

    return jax.device_put(arrays)
