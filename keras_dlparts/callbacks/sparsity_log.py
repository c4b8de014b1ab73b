"""Sparsity log: how many weights the whole model has left, in the logs of each epoch.

    weights_left = sum over layers (weights left) / sum over layers (weights)

over the layers that shut weights down, each of which logs its own `<name>_left`.
"""

import keras

from keras_dlparts import graphs
from keras_dlparts.layers.sparsity.weights_left import counts_of

CASES = {"SparsityLog": ({"arguments": {}},)}


class SparsityLog(keras.callbacks.Callback):
    """Adds `weights_left` to the logs at the end of each epoch.

    It counts the layers of the model, nested ones too, that have `counts()`, as
    `layers.BayesianSparsityDropout` has: the weights left, and all of them. Without
    such a layer it adds nothing.

    Example:

    >>> import numpy as np
    >>> from keras_dlparts.layers import BayesianSparsityDropout
    >>> layer = BayesianSparsityDropout(keras.layers.Dense(1))
    >>> model = keras.Sequential([keras.Input((3,)), layer])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    >>> model.fit(x, y, verbose=0, callbacks=[SparsityLog()]).history["weights_left"]
    [1.0]
    """

    columns = ("weights_left",)

    def on_epoch_end(self, epoch, logs=None):
        found = [
            layer
            for layer in graphs.layers(self.model)
            if callable(getattr(layer, "counts", None))
        ]
        if found and logs is not None:
            left, weights = counts_of(found)
            logs["weights_left"] = left / weights
