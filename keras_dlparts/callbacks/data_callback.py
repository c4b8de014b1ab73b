"""What callbacks that look at data have in common: where they find it."""

from typing import Any

import keras

from keras_dlparts.backend import keras_private
from keras_dlparts.backend.gradients import as_tensors
from keras_dlparts.callbacks.given_batches import SPLITS, batches_of, check_given
from keras_dlparts.data.source import Source


class DataCallback(keras.callbacks.Callback):
    """Base of callbacks that look at batches: of the data given, or those of the run.

    `batch(i)` gives a batch, once training has begun. `dlparts train` hands its data
    over through `set_data` and `set_splits`; Keras shows callbacks none.

    Args:
        data: What to look at: see `given_batches.py`. None for the training data of
            the run.
    """

    def __init__(self, data: Any = None):
        super().__init__()
        check_given(data)
        self.data = data
        self._batches = self._splits = self._given = None

    def set_data(self, batches: keras.utils.PyDataset):
        """The training data, a `keras.utils.PyDataset`; called before training."""
        self._batches = batches

    def set_splits(self, source: Source):
        """The run's data with all its splits; called before training."""
        self._splits = source

    def on_train_begin(self, logs=None):
        self._begin()
        if self._given is None and self._batches is None:
            raise ValueError(
                f"{type(self).__name__} needs a batch to look at, and Keras shows "
                "callbacks none. Give `data=(x, y)`, or what you give to `fit`: a "
                "tf.data.Dataset, a DataLoader, a PyDataset. Received: data=None"
            )

        if not self.model.built:  # TensorFlow's `fit` builds it in the first step
            keras_private.build_all(self.model, *as_tensors(self.batch(0)[:2]))
            self._begin()

    def _begin(self):
        """Let the data given begin with its first batch."""
        self._given = None if self.data is None else batches_of(self._found())

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

    def batch(self, i):
        """Batch number i, `(x, y)` or `(x, y, sample_weight)`."""
        if self._given is not None:
            return self._given(i)
        return self._batches[i % len(self._batches)]
