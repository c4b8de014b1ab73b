"""How long training waits for its data.

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

    Args:
        items: A `keras.utils.PyDataset`.
        waiting: A `Waiting`.
        steps: Integer. How many steps an item is for.

    Example:

    >>> from keras_dlparts.data import Batches
    >>> import numpy as np
    >>> waiting = Waiting()
    >>> feed = Feed(Batches(np.arange(4), batch_size=2), waiting)
    >>> [x.tolist() for (x,) in feed], waiting.seconds > 0
    ([[0, 1], [2, 3]], True)
    """

    def __init__(self, items, waiting, steps=1):
        super().__init__(
            workers=items.workers,
            use_multiprocessing=items.use_multiprocessing,
            max_queue_size=items.max_queue_size,
        )
        self.items, self.waiting, self.steps = items, waiting, steps

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        began = time.perf_counter()
        item = self.items[index]
        self.waiting.fetched(index * self.steps, began)
        return item

    def on_epoch_end(self):
        self.items.on_epoch_end()
