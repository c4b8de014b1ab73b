"""A layer with the bare name of another vendor's."""

import keras

CASES = {"GatedMLP": ({"arguments": {"units": 2}, "input_shape": (2, 3)},)}


@keras.saving.register_keras_serializable("rival")
class GatedMLP(keras.layers.Layer):
    """The rival's idea of a gated MLP: it does nothing.

    Args:
        units: Integer.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def call(self, inputs):
        return inputs
