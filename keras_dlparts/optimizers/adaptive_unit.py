"""Adaptive gradient clipping, by unit (AGC).

    for each output unit j of a weight W with the gradient G:
    limit_j = clip_factor max(||W_j||, epsilon)
    G_j <- G_j min(1, limit_j / ||G_j||)

Shapes: the units of a weight are its last axis; a weight of one axis (a bias, a gain)
or of none (a single number) is one unit.
Brock, De, Smith & Simonyan 2021, "High-performance large-scale image recognition
without normalization", arXiv:2102.06171.
"""

import math

import keras
from keras import ops

from keras_dlparts.backend import keras_private
from keras_dlparts.optimizers.clipping_rule import (
    ClippingRule,
    global_norm,
)
from keras_dlparts.support.checks import check_number

CASES = {"AdaptiveUnit": ({"arguments": {"clip_factor": 0.01}},)}


def unit_norms(w):
    """The norm of each unit, of a shape that broadcasts with w."""
    rank = len(w.shape)
    axes = tuple(range(rank - 1 if rank > 1 else rank))
    square = ops.square(ops.cast(w, "float32"))
    return ops.sqrt(ops.sum(square, axis=axes, keepdims=True) if axes else square)


def clip_units(g, w, clip_factor, epsilon):
    """The clipped gradient, and which of its units were clipped (zeros and ones)."""
    limit = clip_factor * ops.maximum(unit_norms(w), epsilon)
    norm = unit_norms(g)
    factor = limit / ops.maximum(norm, limit)
    return g * ops.cast(factor, g.dtype), ops.cast(norm > limit, "float32")


@keras.saving.register_keras_serializable("dlparts")
class AdaptiveUnit(ClippingRule):
    """Clips each unit's gradient by the size of that unit's weights.

    No step can change a unit by more than a small part of itself, whatever the
    scale of the loss. The paper trains nets without batch normalisation this way and
    leaves the last linear layer out; name it in `exclude` to do so.
    `clip_threshold` in the logs is `clip_factor`, and `clipped_fraction` counts units.

    Args:
        clip_factor: Float, greater than 0. The lambda of the paper; smaller for larger
            batches.
        epsilon: Float, greater than 0. The least norm of a unit's weights, so that
            weights that start at zero can move.
        exclude: Optional list of texts. A weight with one of them in its path is not
            clipped.

    Example:

    >>> from keras_dlparts.optimizers import Clipped
    >>> rule = AdaptiveUnit(0.01, exclude=["logits"])
    >>> optimizer = Clipped(keras.optimizers.SGD(0.1, momentum=0.9), by=rule)
    """

    def __init__(
        self,
        clip_factor: float = 0.01,
        epsilon: float = 1e-3,
        exclude: list[str] | tuple[str, ...] | None = None,
    ):
        self.clip_factor = check_number("clip_factor", clip_factor, above=0)
        self.epsilon = check_number("epsilon", epsilon, above=0)
        if isinstance(exclude, str):
            raise TypeError(
                f"`exclude` must be a list of texts. Received: exclude={exclude!r}"
            )
        self.exclude = None if exclude is None else list(exclude)

    def build(self, optimizer, variables):
        super().build(optimizer, variables)
        paths = [variable.path for variable in variables]
        for text in self.exclude or ():
            if not any(text in path for path in paths):
                raise ValueError(
                    f"`exclude` names no weight. Received: {text!r}; the weights are: "
                    f"{', '.join(paths)}"
                )
        self._excluded = [
            any(text in path for text in self.exclude or ()) for path in paths
        ]

    def clip(self, gradients, variables):
        stepped, counts, units = [], [], 0
        for g, w in zip(gradients, variables, strict=True):
            if not self._excluded[keras_private.variable_index(self._optimizer, w)]:
                g, clipped = clip_units(g, w, self.clip_factor, self.epsilon)
                counts.append(ops.sum(clipped))
                units += math.prod(clipped.shape)
            stepped.append(g)
        fraction = sum(counts) / max(units, 1)
        self.move(global_norm(gradients), self.clip_factor, fraction, {})
        return stepped

    def get_config(self):
        return {
            "clip_factor": self.clip_factor,
            "epsilon": self.epsilon,
            "exclude": self.exclude,
        }
