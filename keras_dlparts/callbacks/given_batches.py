"""What a callback's `data=` may be: one batch, or anything that gives batches.

(x, y), (x, y, sample_weight)       the same batch at each step
a keras.utils.PyDataset, a list     batch i at step i, from the beginning at its end;
of tuples                           a list of two arrays is one batch
a tf.data.Dataset, a DataLoader,    a batch at each step, from the beginning at the
any other iterable, a function      end; a function is called for each pass
that makes one
a data source                       its training batches
"train", "validation", "test"       that split of the run's data
"""

import keras
import numpy as np

from keras_dlparts.data.source import Source

SPLITS = ("train", "validation", "test")
_RULE = (
    "`data` must be a batch (x, y) or (x, y, sample_weight), a data source, an "
    "iterable of batches or a function that makes one, or the name of a split of a "
    "run's data"
)


def check_given(data):
    """Raise unless `data` is None or of a kind that gives batches."""
    if data is None or (isinstance(data, str) and data in SPLITS):
        return
    if isinstance(data, str):
        raise ValueError(f"{_RULE}: {', '.join(SPLITS)}. Received: data={data!r}")
    one = isinstance(data, tuple | list) and (len(data) > 1 or _several(data))
    array = hasattr(data, "shape") or isinstance(data, dict | tuple | list)
    several = isinstance(data, Source | keras.utils.PyDataset) or callable(data)
    if not (one or several or (hasattr(data, "__iter__") and not array)):
        raise TypeError(f"{_RULE}. Received: data of type {type(data).__name__}")


def _several(data):
    """Whether it is a list of batches, each a tuple: `[(x, y), (x, y)]`.

    A list of two arrays is one batch.
    """
    return isinstance(data, list) and bool(data) and {*map(type, data)} == {tuple}


def batches_of(data):
    """A function that gives the batch of a step, `(x, y)` or with a sample weight.

    Args:
        data: What `check_given` takes, but for None and the name of a split.
    """
    if isinstance(data, Source):
        data = data.train
    if isinstance(data, keras.utils.PyDataset):
        return lambda step: data[step % len(data)]
    if _several(data):
        return lambda step: data[step % len(data)]
    if isinstance(data, tuple | list):
        batch = tuple(data)
        return lambda step: batch
    passes = _endless(data)
    return lambda step: next(passes)


def _endless(data):
    """The batches of an iterable, over and over."""
    while True:
        found = False
        for batch in data() if callable(data) else data:
            found = True
            yield _arrays(batch)
        if not found:
            raise ValueError(
                "`data` must give batches, and from the beginning again at its end. "
                "Received: an iterable without any, as a generator is that was read; "
                "give a function that makes it"
            )


def _arrays(batch):
    """A batch as numpy arrays, wherever its tensors are from."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise ValueError(
            "`data` must give batches (x, y) or (x, y, sample_weight). Received: a "
            f"{type(batch).__name__}"
        )
    return tuple(
        None if part is None else keras.tree.map_structure(np.asarray, part)
        for part in batch
    )
