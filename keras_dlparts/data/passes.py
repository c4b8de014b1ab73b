"""Batches of somebody else's data, replayed epoch by epoch as far as it allows.

`Batches` computes the order of any epoch. A `tf.data.Dataset`, a PyTorch `DataLoader`
or a `keras.utils.PyDataset` of one's own has an order that comes about in passing
through it: by its own generator, or by the process-wide ones. To come to epoch e in a
new process, the epochs before it are therefore begun again, one after the other:

    for each epoch i = 0 .. e:    seed the process-wide generators by (seed, i)
                                  begin pass i, and take its first batch

Whether that gave the same order is found out. `openings` has a checksum of the first
batch of each epoch, a checkpoint keeps them, and `replay` compares.
"""

import zlib
from collections.abc import Callable

import keras
import numpy as np

# Keras looks at so many batches before the first epoch begins.
_LOOKED_AT = 2


class Replayed(keras.utils.PyDataset):
    """Abstract: batches whose epochs are begun one after the other.

    Set `epoch` when an epoch begins, after the process-wide generators were seeded.

    Attributes:
        epoch: Integer, or None before the first.
        openings: List of the checksums of the first batch of each epoch.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.openings = []
        self._epoch, self._expected, self._tell = None, [], None

    def begin(self, epoch):
        """Begin an epoch, so that item 0 is its first batch."""
        raise NotImplementedError

    @property
    def epoch(self):
        return self._epoch

    @epoch.setter
    def epoch(self, epoch):
        self.begin(epoch)
        self._epoch = epoch
        del self.openings[epoch:]
        self.openings.append(checksum(self[0]))
        expected = self._expected[epoch : epoch + 1]
        if self._tell and expected not in ([], self.openings[-1:]):
            tell, self._tell = self._tell, None
            tell(epoch)

    def replay(self, epoch: int, openings: list, seed: Callable, tell: Callable):
        """Begin all epochs before one again.

        Args:
            epoch: The epoch that is to come.
            openings: The `openings` of those that were begun before.
            seed: `seed(epoch)` seeds the process-wide generators.
            tell: Called with the first epoch that begins with another batch than it
                did, if there is one; now, or when the next one begins.
        """
        self._expected, self._tell = openings, tell
        for before in range(epoch):
            seed(before)
            self.epoch = before


class Passes(Replayed):
    """The batches of what can be iterated again and again, a pass an epoch.

    A pass begins in the thread that sets `epoch`. Until it is set, the first batches
    are those of a pass that is thrown away.

    Args:
        make: Gives an iterator over batches `x`, `(x, y)` or `(x, y, sample_weight)`.
        steps: Integer, the batches of an epoch.
        goes_on: Whether an epoch goes on where the one before it ended, and a new pass
            begins only where one has ended; for data without an end.

    Example:

    >>> passes = Passes(lambda: iter([np.arange(2), np.arange(3)]), steps=2)
    >>> passes.epoch = 0
    >>> [x.tolist() for (x,) in passes]
    [[0, 1], [0, 1, 2]]
    """

    def __init__(self, make: Callable, steps: int, goes_on: bool = False):
        super().__init__()
        self.make, self.steps, self.goes_on = make, steps, goes_on
        self._iterator = None
        self._taken = 0  # batches of the epoch so far
        self._total = 0  # batches of all epochs so far, where they go on
        self._kept = {}  # the first batches of the epoch, by their places in it

    def __len__(self):
        return self.steps

    def begin(self, epoch):
        if not self.goes_on or self._epoch is None or self._total > epoch * self.steps:
            self._iterator, self._total = None, 0
        while self.goes_on and self._total < epoch * self.steps:
            self._next()
        self._taken, self._kept = 0, {}

    def _next(self):
        if self._iterator is None:
            self._iterator = self.make()
        batch = next(self._iterator, None)
        if batch is None and self.goes_on:
            self._iterator = self.make()
            batch = next(self._iterator, None)
        if batch is None:
            raise ValueError(
                "The data must have as many batches in each epoch. Received: "
                f"{self._taken} batches where {self.steps} are expected. Give data "
                "that can be iterated anew for each epoch"
            )
        self._total += 1
        return as_arrays(batch)

    def __getitem__(self, index):
        if index in self._kept:
            return self._kept[index]
        if index < self._taken:  # it was passed by
            if self.goes_on:
                raise IndexError(f"Batch {index} was read before, and is not kept.")
            self._iterator, self._taken = None, 0
        while self._taken <= index:
            batch = self._next()
            if self._taken < _LOOKED_AT:
                self._kept[self._taken] = batch
            self._taken += 1
        return batch


class Indexed(Replayed):
    """The batches of a `keras.utils.PyDataset`, its epochs counted.

    Keras ends an epoch of a PyDataset also when it has only looked at the data. Here
    `on_epoch_end` is called once between two epochs, whatever Keras does, and after the
    process-wide generators were seeded, so that an order drawn from these repeats.

    Args:
        dataset: A `keras.utils.PyDataset` with a length.
    """

    def __init__(self, dataset: keras.utils.PyDataset):
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def begin(self, epoch):
        for _ in range(self._epoch or 0, epoch):
            self.dataset.on_epoch_end()
        self.dataset.on_epoch_begin()

    def __getitem__(self, index):
        return as_arrays(self.dataset[index])


def checksum(batch) -> int:
    """A number that tells one batch from another.

    >>> checksum((np.arange(3),)) == checksum((np.arange(3)[::-1],))
    False
    """
    found = 0
    for array in keras.tree.flatten(batch):
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
    return found


def as_arrays(batch) -> tuple:
    """A batch as `(x,)`, `(x, y)` or `(x, y, sample_weight)` of numpy arrays."""
    batch = tuple(batch) if isinstance(batch, list | tuple) else (batch,)
    return keras.tree.map_structure(_as_array, batch)


def _as_array(value):
    if hasattr(value, "detach"):  # PyTorch's, which may be on a device
        value = value.detach().cpu()
    return None if value is None else np.asarray(value)
