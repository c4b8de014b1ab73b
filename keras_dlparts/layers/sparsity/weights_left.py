"""How many weights a layer has left, as a figure in Keras' logs of each epoch.

    <name>_left = (weights left) / (weights)

Keras resets the metrics when an epoch begins. That is also how the layer learns of it:
Keras tells a layer nothing of epochs.
"""

import weakref

import keras
from keras import ops

from keras_dlparts import backend


class WeightsLeft(keras.metrics.Metric):
    """The fraction of a layer's weights that are left.

    Args:
        layer: What has `keep`, not 0 for a weight that is left, and `end_epoch()`,
            which is called when the metrics are reset.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        # The layer holds this metric; a plain reference back would keep both alive.
        self._layer = weakref.ref(layer)
        # What `result` gives within JAX' step, which cannot read variables of layers.
        self.left = self.add_variable((), "ones", name="left")

    def update_state(self, *arguments, **more):
        """Does nothing: `result` reads what the layer has counted."""

    def reset_state(self):
        layer = self._layer()
        if layer is not None and layer.built:
            layer.end_epoch()
            self.left.assign(self._now())

    def result(self):
        return self._now() if backend.on_host() else self.left + 0.0

    def _now(self):
        layer = self._layer()
        if layer is None or not layer.built:
            return self.left + 0.0
        return ops.mean(ops.cast(layer.keep > 0, "float32"))


def counts_of(layers):
    """(weights left, weights) of layers together, each of which has `counts()`."""
    counts = [layer.counts() for layer in layers]
    return tuple(map(sum, zip(*counts, strict=True)))
