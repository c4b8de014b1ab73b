"""Batches whose order depends on a seed and the epoch's number only.

    pi_e  = permutation of 0..n-1 drawn from the generator of (seed, e)
    batch i of epoch e = the samples pi_e(i b), ..., pi_e(i b + b - 1)

So an epoch can be repeated exactly, also in a new process after a kill. A batch
is one indexing operation on each array; the last one of an epoch may be smaller.

What is drawn for a batch, as an augmentation is, depends on the seed, the epoch and
the number of the batch only. So a part of a batch, which is what a replica reads, is
cut from the batch after it was changed as a whole.
"""

import math
from typing import Any

import keras
import numpy as np


def order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation of `n` samples in one epoch.

    >>> order(5, seed=1, epoch=0).tolist() == order(5, seed=1, epoch=0).tolist()
    True
    """
    return np.random.default_rng([seed, epoch]).permutation(n)


def map_arrays(function, arrays):
    """Apply `function` to an array, or to each array of a dict, list or tuple."""
    if isinstance(arrays, dict):
        return {name: map_arrays(function, each) for name, each in arrays.items()}
    if isinstance(arrays, list | tuple) and all(map(_is_structure, arrays)):
        return tuple(map_arrays(function, each) for each in arrays)
    return function(arrays)


def _is_structure(value):
    return hasattr(value, "shape") or isinstance(value, dict | list | tuple)


def length(arrays):
    """How many samples an array, or each array of a dict, list or tuple, has."""
    if isinstance(arrays, dict):
        arrays = [*arrays.values()]
    if isinstance(arrays, list | tuple) and all(map(_is_structure, arrays)):
        return length(arrays[0])
    return len(arrays)


def _take(array, rows):
    """Those rows of whatever can be indexed with an array of integers."""
    return np.asarray(array[rows])


def rows_of(parts, take):
    """What `take` gives of each array; what is None stays so."""
    return tuple(None if part is None else map_arrays(take, part) for part in parts)


class Batches(keras.utils.PyDataset):
    """A `keras.utils.PyDataset` over arrays, repeatable epoch by epoch.

    Give it to `fit(batches, shuffle=False)`: with `shuffle=True` Keras would mix
    the batches once more, with Python's global generator. The epoch counts up
    whenever Keras ends a pass, its look at the first batch before training
    included; whoever must repeat or resume sets `epoch` at an epoch's begin.

    Args:
        x: An array, or a dict, list or tuple of arrays. Anything with a length that can
            be indexed with an array of integers is an array, `np.memmap` for one.
        y: Likewise, or None.
        batch_size: Integer, `>= 1`.
        shuffle: Whether each epoch has an order of its own.
        seed: Integer, `>= 0`.
        rows: Integers, the samples to use of `x` and `y`; None for all.
        change: What to do to each batch, a function `(x, y, epoch, index)` that
            returns x and y, or None.
        sample_weight: How much each sample counts in the loss, an array or arrays as
            `y` has them; None where all count the same. `change` leaves it as it is.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of `PyDataset`.

    Attributes:
        epoch: Integer. Settable.

    Example:

    >>> batches = Batches(np.arange(5), batch_size=2)
    >>> [x.tolist() for (x,) in batches]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        rows: Any = None,
        change: Any = None,
        sample_weight: Any = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.x = x
        self.y = y
        self.sample_weight = sample_weight
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rows = np.arange(length(x)) if rows is None else rows
        self.change = change
        self.epoch = 0
        self._ordered = (None, self.rows)  # (the epoch it is for, the rows in order)
        self._changed = (None, None)  # (epoch and number of a batch, that batch)

    def __len__(self):
        return math.ceil(len(self.rows) / self.batch_size)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: {index}")
        return self._batch(*self._order(), index)

    def _batch(self, epoch, rows, index):
        start = index * self.batch_size
        rows = rows[start : start + self.batch_size]
        if self.change is None:
            return self._samples(rows)
        # The replicas of one process read their parts of a batch one after the other.
        which, batch = self._changed
        if which != (epoch, index):
            x, *more = self._samples(rows)
            y = more[0] if more else None
            x, y = self.change(x, x if self.y is self.x else y, epoch, index)
            batch = (x, y, *more[1:]) if more else (x,)
            self._changed = ((epoch, index), batch)
        return batch

    def samples(self, places: Any) -> tuple:
        """The samples at some places of the epoch's order, a slice or indices."""
        epoch, rows = self._order()
        if self.change is None:
            return self._samples(rows[places])
        places, size = np.arange(len(rows))[places], self.batch_size
        ends = np.flatnonzero(np.diff(places // size)) + 1
        parts = []
        for within in np.split(places, ends):  # the places in one batch, of many
            index = int(within[0]) // size if len(within) else 0
            batch = self._batch(epoch, rows, index)
            parts.append([a if a is None else a[within % size] for a in batch])
        return tuple(
            part[0] if len(part) == 1 or part[0] is None else np.concatenate(part)
            for part in zip(*parts, strict=True)
        )

    def cut(self, parts: tuple, places: Any) -> tuple:
        """Those samples out of other arrays, of the form that `parts()` has."""
        _, rows = self._order()
        return rows_of(parts, lambda array: array[rows[places]])

    def _order(self):
        """(the epoch, its rows in order)."""
        if not self.shuffle:
            return self.epoch, self.rows
        epoch, rows = self._ordered
        if epoch != self.epoch:
            epoch = self.epoch
            rows = self.rows[order(len(self.rows), self.seed, epoch)]
            # Both in one assignment, since the workers that read it may be threads.
            self._ordered = (epoch, rows)
        return epoch, rows

    def parts(self) -> tuple:
        """What a batch is cut from: x, y and sample_weight, up to the last one given.

        >>> Batches(np.arange(3)).parts()
        (array([0, 1, 2]),)
        """
        parts = [self.x, self.y, self.sample_weight]
        while parts[-1] is None:
            parts.pop()
        return tuple(parts)

    def _samples(self, rows):
        return rows_of(self.parts(), lambda array: _take(array, rows))

    def on_epoch_end(self):
        self.epoch += 1

    def arrays(self) -> tuple[Any, Any]:
        """All samples as `(x, y)` in the order of the data, unshuffled, and with
        nothing drawn.

        >>> Batches(np.arange(3), np.zeros(3), shuffle=True).arrays()
        (array([0, 1, 2]), array([0., 0., 0.]))
        """
        return (*self._samples(self.rows), None)[:2]

    def still(self) -> "Batches":
        """The same samples in the order of the data, with nothing drawn."""
        given = {"rows": self.rows, "sample_weight": self.sample_weight}
        return Batches(self.x, self.y, self.batch_size, **given)

    def to_tf_data(self, drop_remainder: bool = False):
        """The same batches as a `tf.data.Dataset`, for a `tf.distribute` strategy.

        Each pass over it gives the order of the `epoch` that is set when the pass
        begins. Nothing counts up by itself here.

        Args:
            drop_remainder: Whether to leave out a smaller last batch. Replicas
                that share a batch evenly need it.
        """
        import tensorflow as tf

        count = len(self.rows) // self.batch_size if drop_remainder else len(self)
        if not count:
            raise ValueError(
                "`drop_remainder=True` needs at least one whole batch. Received: "
                f"{len(self.rows)} samples and batch_size={self.batch_size}. "
                "Lower batch_size"
            )
        size = self.batch_size if drop_remainder else None
        signature = keras.tree.map_structure(
            lambda a: tf.TensorSpec((size, *a.shape[1:]), a.dtype), self[0]
        )

        def batches():
            order = self._order()  # once for the whole pass: `epoch` may change in it
            return (self._batch(*order, i) for i in range(count))

        dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
        return dataset.prefetch(tf.data.AUTOTUNE)


class JoinedBatches(keras.utils.PyDataset):
    """Several batches of `Batches` as one, for a training step that cuts them up.

    Item i has the samples of the batches `i steps` to `(i + 1) steps - 1`. The length
    is that of the batches, as Keras wants it beside `steps_per_execution`; the items
    beyond the last are empty.

    Args:
        batches: `Batches`.
        steps: Integer, `>= 1`. How many to join.
        held: What `batches.parts()` gives, where a device holds it; the items are then
            cut out there. `batches` must change nothing in a batch.

    Example:

    >>> joined = JoinedBatches(Batches(np.arange(5), batch_size=2), steps=2)
    >>> [joined[i][0].tolist() for i in range(len(joined))]
    [[0, 1, 2, 3], [4], []]
    """

    def __init__(self, batches: Batches, steps: int, held: tuple | None = None):
        super().__init__()
        self.batches, self.steps, self.held = batches, steps, held

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        size = self.steps * self.batches.batch_size
        places = slice(index * size, (index + 1) * size)
        if self.held is None:
            return self.batches.samples(places)
        return self.batches.cut(self.held, places)

    def on_epoch_end(self):
        self.batches.on_epoch_end()
