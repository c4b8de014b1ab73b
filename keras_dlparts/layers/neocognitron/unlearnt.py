"""What the logs say of the planes of an S-layer: how many have learnt nothing yet."""

import warnings

import keras
from keras import ops

from keras_dlparts import backend


class Unlearnt(keras.metrics.Metric):
    """The number of planes whose inhibition is zero, for no cell of them was a seed.

    On JAX the logs of single batches have the number of the epoch before: a step there
    has the values of metrics only.

    Args:
        name: String, the layer's name.
        inhibition: Function, gives b, or None before there is one.
        presented: Function, whether there was a sample that the layer should have
            learnt from.
    """

    def __init__(self, name, inhibition, presented):
        super().__init__(name=f"{name}_unlearnt_planes")
        # Functions, for the layer itself would count as a part of what is a part of it.
        self.of = name
        self.inhibition = inhibition
        self.presented = presented
        self.before = self.add_variable((), "zeros", dtype="float32", name="before")

    def update_state(self, *args, **kwargs):
        """Nothing: the layer's weights tell."""

    def result(self):
        b = self.inhibition()
        if b is None or not backend.on_host():
            return self.before.value
        count = _zeros(b)
        (planes,) = b.shape
        if backend.known(count) == planes and self.presented():
            warnings.warn(
                f"{self.of} has learnt nothing: no cell of its {planes} planes "
                "responded to what it was shown. Received: inputs that are 0, or those "
                "of layers before it that have not learnt yet. See that the data are "
                "activities in [0, 1], and that `learn_after` lets those layers begin",
                stacklevel=2,
            )
        return count

    def reset_state(self):
        b = self.inhibition()
        if b is not None:
            self.before.assign(_zeros(b))


def _zeros(b):
    return ops.sum(ops.cast(ops.equal(ops.convert_to_tensor(b), 0), "float32"))
