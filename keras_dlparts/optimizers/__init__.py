"""Optimizers and the rules they clip gradients by, one a file."""

from keras_dlparts.optimizers.adaptive_unit import AdaptiveUnit
from keras_dlparts.optimizers.averaged import Averaged
from keras_dlparts.optimizers.clipped import Clipped
from keras_dlparts.optimizers.clipped_sgd import ClippedSGD
from keras_dlparts.optimizers.clipping_rule import ClippingRule
from keras_dlparts.optimizers.diagonal_newton import DiagonalNewton
from keras_dlparts.optimizers.fixed_norm import FixedNorm
from keras_dlparts.optimizers.lookahead import Lookahead
from keras_dlparts.optimizers.normalized_sgd import NormalizedSGD
from keras_dlparts.optimizers.percentile import Percentile
from keras_dlparts.optimizers.phased import Phased
from keras_dlparts.optimizers.relaxed_smoothness import RelaxedSmoothness
from keras_dlparts.optimizers.z_score import ZScore

__all__ = [
    "AdaptiveUnit",
    "Averaged",
    "Clipped",
    "ClippedSGD",
    "ClippingRule",
    "DiagonalNewton",
    "FixedNorm",
    "Lookahead",
    "NormalizedSGD",
    "Percentile",
    "Phased",
    "RelaxedSmoothness",
    "ZScore",
]


def __dir__():
    return __all__
