"""What callbacks that measure on a batch, every few steps, have in common."""

from typing import Any

from keras_dlparts.callbacks.data_callback import DataCallback
from keras_dlparts.support.checks import check_count


class Measuring(DataCallback):
    """Base of callbacks that measure. It counts steps and finds the batch.

    `due(batch)` says whether this step is to be measured, `data_of(batch)` gives the
    batch to do it on: of the data given, or that of the step at hand.

    Args:
        every: Integer, `>= 1`. Measure each `every` steps.
        data: What to measure on: see `given_batches.py`. None for the step's own batch.
    """

    # Whether a call of the training function may take many steps, up to `every`. Not so
    # where something is to be seen of each step.
    between_calls = False

    def __init__(self, every: int, data: Any = None):
        super().__init__(data)
        self.every = check_count("every", every)
        # Steps of the epochs before this one, and the step to measure at next.
        self.past = self.next = self.last = 0

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
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
        return self.batch(batch if self._given is None else self.past + batch)

    def on_train_batch_end(self, batch, logs=None):
        self.last = batch

    def on_epoch_end(self, epoch, logs=None):
        # Keras counts a call as if it took all its steps; an epoch's last takes fewer.
        steps = self.params.get("steps") or self.last + 1
        self.past += min(self.last + 1, steps)
