"""What callbacks that measure on a batch, every few steps, have in common."""

from typing import Any

import keras

from keras_dlparts.callbacks.given_batches import SPLITS, batches_of, check_given
from keras_dlparts.data.source import Source
from keras_dlparts.support.checks import check_count


class Measuring(keras.callbacks.Callback):
    """Base of callbacks that measure. It counts steps and finds the batch.

    `due(batch)` says whether this step is to be measured, `data_of(batch)` gives the
    batch to do it on: of the data given, or that of the step at hand, which
    `dlparts train` hands over through `set_data`. Keras shows callbacks none.

    Args:
        every: Integer, `>= 1`. Measure each `every` steps.
        data: What to measure on: see `given_batches.py`. None for the step's own batch.
    """

    def __init__(self, every: int, data: Any = None):
        super().__init__()
        self.every = check_count("every", every)
        check_given(data)
        self.data = data
        self._batches = self._splits = self._given = None
        # Steps of the epochs before this one, and the step to measure at next.
        self.past = self.next = self.last = 0

    def set_data(self, batches: keras.utils.PyDataset):
        """The training data, a `keras.utils.PyDataset`; called before training."""
        self._batches = batches

    def set_splits(self, source: Source):
        """The run's data with all its splits; called before training."""
        self._splits = source

    def on_train_begin(self, logs=None):
        self._given = None if self.data is None else batches_of(self._found())
        if self._given is None and self._batches is None:
            raise ValueError(
                f"{type(self).__name__} needs a batch to measure on, and Keras shows "
                "callbacks none. Give `data=(x, y)`, or what you give to `fit`: a "
                "tf.data.Dataset, a DataLoader, a PyDataset. Received: data=None"
            )
        self.past = self.next = self.last = 0

    def _found(self):
        """The data, where it is a split by name that split."""
        if not isinstance(self.data, str):
            return self.data
        if self._splits is None:
            raise ValueError(
                f"A split is of the data of `dlparts train`. Received: data="
                f"{self.data!r} in a plain `fit`; give a batch `(x, y)` or an iterable"
            )
        split = getattr(self._splits, self.data)
        if split is None:
            there = [name for name in SPLITS if getattr(self._splits, name) is not None]
            raise ValueError(
                f"`data` must be a split that the run's data has: {', '.join(there)}. "
                f"Received: data={self.data!r}"
            )
        return split.still()

    def due(self, batch):
        """Whether the step of this batch is to be measured; then it is noted so."""
        step = self.past + batch
        if step < self.next:
            return False
        self.next = self.following(step)
        return True

    def following(self, step):
        """The step to measure at after this one."""
        return step + self.every

    def data_of(self, batch):
        """The batch to measure on, `(x, y)` or `(x, y, sample_weight)`."""
        if self._given is not None:
            return self._given(self.past + batch)
        return self._batches[batch]

    def on_train_batch_end(self, batch, logs=None):
        self.last = batch

    def on_epoch_end(self, epoch, logs=None):
        self.past += self.last + 1
