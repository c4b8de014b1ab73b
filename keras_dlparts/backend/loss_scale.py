"""The scale of the loss in half precision, for gradients taken outside of a training.

    g = (d(s L) / dw) / s        s: the scale, a power of 2

In float16 what is below 6e-8 becomes 0 and what is above 65504 infinite. In training
Keras' `LossScaleOptimizer` multiplies the loss by s, and halves s where a gradient
overflows. A measurement begins with the s that the optimizer has now, or with the one
that Keras begins with, and lowers it by itself until the gradients are finite.
"""

import keras
from keras import ops

from keras_dlparts.backend import keras_private
from keras_dlparts.backend.basics import assign, at_least_float32, known
from keras_dlparts.backend.models import up_to_date
from keras_dlparts.backend.replication import number

_FIRST = 2.0**15  # Keras' own
_DOWN = 2.0**5  # what it is lowered by: three times at most from Keras' own


def times(loss, scale):
    """A loss that is multiplied by its scale, in float32 at least."""
    loss = at_least_float32(loss)
    return loss * ops.cast(scale, loss.dtype)


def at_loss_scale(model, measure):
    """What `measure(scale)` finds at a scale where it is finite, or else at scale 1.

    Args:
        model: The model that is measured. Its state is moved by one measurement only.
        measure: A function of a float that gives tensors in any structure, already
            divided by the scale again.
    """
    scale = _present(model)
    if scale <= 1:
        return measure(scale)
    up_to_date(model)
    state = [v.numpy() for v in model.non_trainable_variables]
    while True:
        found = measure(scale)
        if scale <= 1 or _finite(found):
            return found
        assign(model.non_trainable_variables, state)
        scale = max(1.0, scale / _DOWN)


def unscaled_function(model, measure):
    """A function of a scale and tensors, as one of the tensors that finds its scale.

    Args:
        model: The model that is measured.
        measure: A function `(scale, ...)` that gives losses and gradients times
            `scale`; None among them stays None.
    """

    def unscaled(tensor, scale):
        return None if tensor is None else at_least_float32(tensor) / scale

    def measured(*tensors):
        def at(scale):
            found = measure(ops.convert_to_tensor(scale, "float32"), *tensors)
            if scale == 1:
                return found
            return keras.tree.map_structure(lambda t: unscaled(t, scale), found)

        return at_loss_scale(model, at)

    return measured


def _present(model):
    """The scale that the model's optimizer has; 1 where nothing is in float16."""
    layers = keras_private.layers_in(model)
    if all(layer.compute_dtype != "float16" for layer in layers):
        return 1.0
    if known(ops.zeros(())) is None:  # while a function is traced nothing can be tried
        return 1.0
    optimizer = getattr(model, "optimizer", None)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        if not optimizer.built:
            return float(optimizer.initial_scale)
        up_to_date(model)
        return number(optimizer.dynamic_scale)
    return _FIRST


def _finite(found):
    tensors = [t for t in keras.tree.flatten(found) if t is not None]
    return all(known(ops.all(ops.isfinite(t))) for t in tensors)
