"""The training data as `fit` takes it: it may begin within an epoch, and it is timed.

    waited = sum over calls of max(0, when the batch was ready - when it was asked for)

What is counted is the time in which the training stands still until its source has
read, shuffled and cut out the next batch. TensorFlow fetches ahead in a thread of its
own, so a batch that was ready when its step began costs nothing; JAX and PyTorch fetch
in the thread that trains, and there all the fetching counts. What the backend does with
a batch afterwards, such as copying it to a device, is part of the step. Where a call
takes several batches one by one, its first counts.
"""

import threading
import time

import keras


class Waiting:
    """A clock for the time that training waits for data, epoch by epoch.

    Attributes:
        seconds: Of this epoch so far, or None while nothing was timed.
    """

    def __init__(self):
        self.begin_epoch()

    def begin_epoch(self):
        """Count anew, for the thread that calls this: it is the one that trains."""
        self.seconds, self._ready, self._asked = None, {}, (0, 0.0)
        self._trainer = threading.get_ident()

    def fetched(self, step, began):
        """The data that begins with a step is there; its fetching began then."""
        now = time.perf_counter()
        if threading.get_ident() == self._trainer:
            self.seconds = (self.seconds or 0.0) + now - began
        else:
            self._ready[step] = now

    def ask(self, step):
        """A call begins, with this step, and wants its data."""
        self._asked = step, time.perf_counter()

    def got(self):
        """The call is over, and so has had its data."""
        step, asked = self._asked
        ready = self._ready.pop(step, None)
        if ready is not None:
            self.seconds = (self.seconds or 0.0) + max(0.0, ready - asked)


class Feed(keras.utils.PyDataset):
    """Batches for `fit`, their waiting timed.

    `fit` asks for the steps too that were done before a resume, and passes them over.
    In their place it gets the first data that it will use, which costs no reading.

    Args:
        items: A `keras.utils.PyDataset`.
        waiting: A `Waiting`.
        batches: Where the epoch's number is; `items` may be made of it.
        steps: Integer. How many steps an item is for.
        done: Epoch and step, `(0, 0)` for none, up to which all was done before.

    Example:

    >>> from keras_dlparts.data import Batches
    >>> import numpy as np
    >>> batches = Batches(np.arange(6), batch_size=2)
    >>> feed = Feed(batches, Waiting(), batches, done=(0, 1))
    >>> [x.tolist() for (x,) in (feed[0], feed[1], feed[2])]
    [[2, 3], [2, 3], [4, 5]]
    """

    def __init__(self, items, waiting, batches, steps=1, done=(0, 0)):
        super().__init__(
            workers=items.workers,
            use_multiprocessing=items.use_multiprocessing,
            max_queue_size=items.max_queue_size,
        )
        self.items, self.waiting, self.batches = items, waiting, batches
        self.steps, self.done = steps, done
        self._first = None

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        began = time.perf_counter()
        item = self._item(index)
        self.waiting.fetched(index * self.steps, began)
        return item

    def _item(self, index):
        epoch, step = self.done
        first = step // self.steps
        if self.batches.epoch != epoch or index > first:
            return self.items[index]
        if self._first is None:
            self._first = self.items[first]
        return self._first

    def on_epoch_end(self):
        self._first = None
        self.items.on_epoch_end()
