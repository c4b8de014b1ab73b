"""What callbacks that measure on a batch, every few steps, have in common."""

from typing import Any

import keras

from keras_dlparts.support.checks import check_count


class Measuring(keras.callbacks.Callback):
    """Base of callbacks that measure. It counts steps and finds the batch.

    `due(batch)` says whether this step is to be measured, `data_of(batch)` gives the
    batch to do it on: the one given, or that of the step at hand, which
    `dlparts train` hands over through `set_data`. Keras shows callbacks none.

    Args:
        every: Integer, `>= 1`. Measure each `every` steps.
        data: Optional batch `(x, y)` or `(x, y, sample_weight)` to measure on.
    """

    columns = ()  # what it adds to the logs of an epoch

    def __init__(self, every: int, data: tuple[Any, ...] | None = None):
        super().__init__()
        self.every = check_count("every", every)
        if data is not None and not (isinstance(data, tuple | list) and len(data) > 1):
            raise TypeError(
                "`data` must be a batch (x, y) or (x, y, sample_weight). "
                f"Received: data of type {type(data).__name__}"
            )
        self._batch = None if data is None else tuple(data)
        self._batches = None
        # Steps of the epochs before this one, and the step to measure at next.
        self.past = self.next = self.last = 0

    def set_data(self, batches: keras.utils.PyDataset):
        """The training data, a `keras.utils.PyDataset`; called before training."""
        self._batches = batches

    def on_train_begin(self, logs=None):
        if self._batch is None and self._batches is None:
            raise ValueError(
                f"{type(self).__name__} needs a batch to measure on, and Keras shows "
                "callbacks none. Give `data=(x, y)`. Received: data=None"
            )
        self.past = self.next = self.last = 0

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
        return self._batch or self._batches[batch]

    def on_train_batch_end(self, batch, logs=None):
        self.last = batch

    def on_epoch_end(self, epoch, logs=None):
        self.past += self.last + 1
