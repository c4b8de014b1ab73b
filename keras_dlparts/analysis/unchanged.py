"""What the analyses share: a model left as it was, data in batches, progress."""

import contextlib

import keras

from keras_dlparts import backend


@contextlib.contextmanager
def unchanged(model):
    """Put back all of a model that an analysis moves: its weights too."""
    with backend.unmoved(model):
        variables = model.trainable_variables
        kept = [v.numpy() for v in variables]
        try:
            yield
        finally:
            backend.assign(variables, kept)


def in_batches(data, batch_size):
    """Data as a list of `(x, y, sample_weight)`, cut if it is arrays.

    `data` is a tuple `(x, y)` or `(x, y, sample_weight)`, a `keras.utils.PyDataset`,
    or anything else that yields such batches.
    """
    if isinstance(data, keras.utils.PyDataset):
        found = [data[i] for i in range(len(data))]
    elif isinstance(data, tuple) and len(data) in (2, 3):
        size = len(keras.tree.flatten(data[0])[0])
        found = [
            keras.tree.map_structure(
                lambda a, i=i: None if a is None else a[i : i + batch_size], tuple(data)
            )
            for i in range(0, size, batch_size)
        ]
    elif hasattr(data, "__iter__") and not hasattr(data, "shape"):
        found = list(data)
    else:
        found = []
    if not found:
        raise ValueError(
            "`data` must be a tuple (x, y) or (x, y, sample_weight), or yield such "
            f"batches, one at least. Received: data of type {type(data).__name__}"
        )
    return [keras.utils.unpack_x_y_sample_weight(batch) for batch in found]


def check_compiled(model):
    if not getattr(model, "compiled", False):
        raise ValueError(
            "`model` must be compiled, for the loss. Received: a model that is not; "
            "call `model.compile(loss=...)`"
        )
