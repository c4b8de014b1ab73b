"""A layer that computes with other kernels than those that it has."""

import keras
from keras import ops

from keras_dlparts.backend import keras_private
from keras_dlparts.support.quantization import is_whole, keep_whole

_KERNELS = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")


class ComputedKernels(keras.layers.Wrapper):
    """Base of wrappers that give `plain_weights(training)`.

    The wrapped layer's own kernels, `directions`, are what the wrapper computes those
    from. They are computed once a call, also around a recurrent layer.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **kwargs)
        keep_whole(
            layer,
            f"{type(self).__name__} computes with its kernel as it is. Quantize what "
            "`keras_dlparts.strip(model)` gives",
        )
        self.supports_masking = layer.supports_masking
        self.autocast = False  # norms are taken in float32; the layer casts by itself

    def build(self, input_shape):
        super().build(input_shape)
        if not is_whole(self.layer):
            raise ValueError(
                "`layer` must have its own weights in full. Received: "
                f"{self.layer.name!r}, which is quantized or has LoRA weights; do that "
                "after `keras_dlparts.strip`"
            )
        holder = getattr(self.layer, "cell", self.layer)
        own = keras_private.own_variables(holder)
        self.directions = [v for v in own if v.name in _KERNELS]
        if not self.directions:
            raise ValueError(
                "`layer` must have a kernel of its own, as Dense, EinsumDense, the "
                f"convolutions and the recurrent layers have. Received: a "
                f"{type(self.layer).__name__}; wrap the layers inside it instead"
            )

    def notes(self):
        """The variables that a plain layer does without."""
        raise NotImplementedError

    def plain_weights(self, training=False):
        """{id of a variable: its value in a plain layer with the same outputs}."""
        raise NotImplementedError

    def call(self, inputs, training=None, **kwargs):
        kernels = self.plain_weights(training)
        # All of the layer's variables, also those that stay as they are: inside a
        # StatelessScope the values of a scope around it are not seen.
        # Keras does not count the states of recurrent layers among them.
        states = keras.tree.flatten(getattr(self.layer, "states", None) or [])
        before = [
            (v, kernels.get(id(v), ops.convert_to_tensor(v)))
            for v in [*self.layer.variables, *states]
        ]
        if keras_private.takes_training(self.layer):
            kwargs["training"] = training
        with keras.StatelessScope(before, collect_losses=True) as scope:
            outputs = self.layer(inputs, **kwargs)
        # What the call moved: seeds, and the states of recurrent layers.
        for variable, value in before:
            new = scope.get_current_value(variable)
            if not variable.trainable and new is not value:
                variable.assign(new)
        for loss in scope.losses:
            self.layer.add_loss(loss)
        # The wrapped layer may compute in another dtype than this one.
        return keras.tree.map_structure(
            lambda y: ops.cast(y, self.compute_dtype), outputs
        )

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def compute_mask(self, inputs, previous_mask):
        return self.layer.compute_mask(inputs, previous_mask)
