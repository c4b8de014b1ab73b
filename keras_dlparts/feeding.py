"""The inputs of a model, batch by batch, from whatever `fit` and `predict` take."""

import keras


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
