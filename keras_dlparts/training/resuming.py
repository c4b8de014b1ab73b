"""Going on with a run from a checkpoint, within an epoch too.

`fit` can begin with any epoch, and only with the first step of it. A checkpoint from
within an epoch is therefore gone on with by leading `fit` through that epoch from its
first step, and by keeping the steps that were done before from being done again. Where
`done` steps of the epoch were done, there are four things to see to:

    data        `Rest`         gives the first batch that is needed in place of those
                               that are not, so nothing is read for them
    steps       `skip_calls`   puts a function in the place of the training function,
                               which takes the data of a call and does nothing
    callbacks   `FromStep`     tells the callbacks nothing of these steps
    state       `Restore`      puts the checkpoint's values in when all callbacks have
                               begun training, and again when they have begun the
                               epoch: at both places callbacks and metrics are reset.
                               A checkpoint from before the first step is put in
                               before `fit`: what callbacks then do to the model as
                               training begins is not in it

The process-wide random generators come back last, in `FromStep`, right before the first
step that is really taken: to begin an epoch PyTorch's loader draws from one of them.

A call of the training function may take several steps (see `chunks.py`): what is
skipped are calls, and a checkpoint is only ever written between two calls.
"""

import keras

from keras_dlparts import backend
from keras_dlparts.training.checkpoint import restore, restore_generators


class Rest(keras.utils.PyDataset):
    """The data of `fit`, for an epoch whose first items are not needed any more.

    `fit` asks for those items too. In their place it gets the first one that is needed,
    which costs no reading. All other epochs are whole.

    Args:
        items: A `keras.utils.PyDataset`.
        batches: The `Batches` of which the items are made; it has the epoch's number.
        epoch: Integer, the epoch, from 0.
        first: Integer, the first item of it that is needed.

    Example:

    >>> from keras_dlparts.data import Batches
    >>> import numpy as np
    >>> batches = Batches(np.arange(6), batch_size=2)
    >>> rest = Rest(batches, batches, epoch=0, first=1)
    >>> [x.tolist() for (x,) in (rest[0], rest[1], rest[2])]
    [[2, 3], [2, 3], [4, 5]]
    """

    def __init__(self, items, batches, epoch, first):
        super().__init__(
            workers=items.workers,
            use_multiprocessing=items.use_multiprocessing,
            max_queue_size=items.max_queue_size,
        )
        self.items, self.batches = items, batches
        self.epoch, self.first = epoch, first
        self._kept = None

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        if self.batches.epoch != self.epoch or index > self.first:
            return self.items[index]
        if self._kept is None:
            self._kept = self.items[self.first]
        return self._kept

    def on_epoch_end(self):
        self._kept = None
        self.items.on_epoch_end()


def skip_calls(model, calls, items=1):
    """Let `fit` pass over the first calls of a model's training function.

    Each takes its data, `items` items of it, and does nothing. `fit` counts their steps
    all the same, so the next call is that of the step after them.

    Args:
        model: a compiled model.
        calls: how many calls, at least 1.
        items: how many items of the data a call takes.
    """
    model.make_train_function()
    train_function = model.train_function
    left = calls

    def skip(*given):
        nonlocal left
        left -= 1
        if not left:
            model.train_function = train_function
        return backend.pass_over(given, items)

    model.train_function = skip


class FromStep(keras.callbacks.CallbackList):
    """Callbacks that are told nothing of the steps that were done before."""

    def __init__(self, callbacks, saved, **options):
        super().__init__(callbacks, add_history=True, **options)
        self.saved, self.first = saved, saved[0]["step"]

    def on_train_batch_begin(self, batch, logs=None):
        if self.first and batch >= self.first:
            self.first = 0
            restore_generators(self.saved)
        if not self.first:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if not self.first:
            super().on_train_batch_end(batch, logs)


class Restore(keras.callbacks.Callback):
    """Puts a checkpoint's values in: the last callback, so that all others have begun.

    Once when training begins and, for a checkpoint from within an epoch, once more when
    that epoch begins.
    """

    def __init__(self, saved, callbacks):
        super().__init__()
        self.saved, self.callbacks = saved, callbacks
        self.within = saved[0]["step"] > 0

    def on_train_begin(self, logs=None):
        restore(self.saved, self.model, self.callbacks)

    def on_epoch_begin(self, epoch, logs=None):
        if self.within:
            restore(self.saved, self.model, self.callbacks)
            self.within = False
