"""What layers share that compute with the transposed kernel of another layer."""

import keras

from keras_dlparts.support.quantization import is_whole, keep_whole


class Tied(keras.layers.Wrapper):
    """A layer with a bias of its own, and the kernel of another.

    The other layer is a part of this one: its kernel is saved with a decoder that is
    saved alone, and is saved once where the other layer is in the same model. Keras
    makes one object again of both when a `.keras` file is loaded.

    Args:
        layer: The layer that has the kernel, built.
        activation: Name or function; None for none.
        use_bias: Whether there is a bias.
        bias_initializer: Of the bias.
    """

    kinds = ()  # the classes of layers that have such a kernel

    def __init__(self, layer, activation, use_bias, bias_initializer, **kwargs):
        if not isinstance(layer, self.kinds):
            names = " or ".join(kind.__name__ for kind in self.kinds)
            raise TypeError(
                f"`layer` must be a {names} layer, whose kernel is shared. "
                f"Received: layer={layer!r}"
            )
        super().__init__(layer, **kwargs)
        keep_whole(layer, f"{type(self).__name__} computes with its kernel transposed")
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.bias = None

    def build(self, input_shape):
        if not self.layer.built:
            raise ValueError(
                f"{type(self).__name__} shares the kernel of {self.layer.name!r}, "
                "which must be built before. Received: a layer without weights; call "
                "that layer first, or its `build` with the shape of its input"
            )
        if not is_whole(self.layer):
            raise ValueError(
                f"{type(self).__name__} needs the kernel of {self.layer.name!r} in "
                "full. Received: a layer that is quantized or has LoRA weights"
            )
        inputs, outputs = self.layer.kernel.shape[-1], self.layer.kernel.shape[-2]
        if input_shape[-1] != inputs:
            raise ValueError(
                f"{type(self).__name__} takes as many features as {self.layer.name!r} "
                f"gives, {inputs}. Received: an input of shape {tuple(input_shape)}"
            )
        if self.use_bias:
            self.bias = self.add_weight((outputs,), self.bias_initializer, name="bias")

    def _ended(self, y):
        """With bias and activation."""
        if self.bias is not None:
            y = y + self.bias
        return y if self.activation is None else self.activation(y)

    def get_config(self):
        return {
            **super().get_config(),
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": keras.saving.serialize_keras_object(
                self.bias_initializer
            ),
        }
