"""What parts that hold other layers need for `model.quantize` to be right.

Keras quantises each layer that holds no other layer, wherever it is inside a model, and
notes it in that layer's own config. Two kinds of parts need more:

- A part that makes its layers itself has its arguments in its config and not theirs, so
  it notes for them: `MakesLayers`.
- A part that computes with the kernel of a layer it was given needs that kernel as it
  is: `keep_whole`.
"""

import keras

from keras_dlparts import graphs


def keep_whole(layer, why):
    """Let `model.quantize` leave a layer as it is, with a warning that says why.

    Keras warns so of each layer that it cannot quantise, and goes on with the others.
    """

    def quantize(mode=None, config=None, **kwargs):
        raise NotImplementedError(f"{layer.name!r} is left as it is: {why}")

    layer.quantize = quantize


def is_whole(layer):
    """Whether a layer computes with the kernel that an optimizer writes."""
    quantized = getattr(layer, "quantization_mode", None) is not None
    return not (quantized or getattr(layer, "lora_enabled", False))


class MakesLayers:
    """Notes in a part's config how the layers were quantised that the part made.

    It stands before Keras' class among the bases. A subclass has `made()`, which lists
    the layers that are not in its config, in an order that stays the same, and calls
    `quantize_again()` at the end of its `build`.
    """

    _noted = None

    def quantized_as(self, noted):
        """Take what a config noted, for when the layers are made."""
        self._noted = noted
        if self.built:
            self.quantize_again()

    def quantize_again(self):
        """Quantise what was made now as it was noted, and values are still to come."""
        noted, self._noted = self._noted, None
        if noted:
            for layer, config in zip(self._leaves(), noted, strict=True):
                if config is not None:
                    layer.quantize(config=keras.saving.deserialize_keras_object(config))

    def _leaves(self):
        return [
            leaf for layer in self.made() for leaf in graphs.leaves(layer) or [layer]
        ]

    def get_config(self):
        config = super().get_config()
        leaves = self._leaves() if self.built else []
        if any(leaf.quantization_mode for leaf in leaves):
            config["quantized"] = [
                keras.saving.serialize_keras_object(leaf.quantization_config)
                if leaf.quantization_mode
                else None
                for leaf in leaves
            ]
        return config

    @classmethod
    def from_config(cls, config, *args, **kwargs):
        config = dict(config)
        noted = config.pop("quantized", None)
        part = super().from_config(config, *args, **kwargs)
        part.quantized_as(noted)
        return part
