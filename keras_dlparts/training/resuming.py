"""Going on with a run: from a checkpoint's state, within an epoch too."""

import keras

from keras_dlparts.training.checkpoint import restore, restore_generators


class Restore(keras.callbacks.Callback):
    """Restores a checkpoint when all callbacks have begun, and so were reset.

    One within an epoch a second time, when that epoch has begun for all of them.
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


class FromStep(keras.callbacks.CallbackList):
    """Callbacks that are told nothing of the steps that were done before a resume."""

    def __init__(self, callbacks, saved, **options):
        super().__init__(callbacks, add_history=True, **options)
        self.saved, self.first = saved, saved[0]["step"]

    def on_train_batch_begin(self, batch, logs=None):
        if self.first and batch >= self.first:
            self.first = 0
            # Only now: to begin an epoch PyTorch's loader draws a number.
            restore_generators(self.saved)
        if not self.first:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if not self.first:
            super().on_train_batch_end(batch, logs)
