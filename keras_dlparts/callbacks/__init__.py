"""Callbacks, one a file."""

from keras_dlparts.callbacks.activation_health import ActivationHealth
from keras_dlparts.callbacks.generated_samples import GeneratedSamples
from keras_dlparts.callbacks.gradient_flow import GradientFlow
from keras_dlparts.callbacks.hutchinson_curvature import HutchinsonCurvature
from keras_dlparts.callbacks.lsuv import LSUV
from keras_dlparts.callbacks.relaxed_smoothness_clipping import (
    RelaxedSmoothnessClipping,
)
from keras_dlparts.callbacks.smoothness_trace import SmoothnessTrace
from keras_dlparts.callbacks.sparsity_log import SparsityLog
from keras_dlparts.callbacks.sparsity_target import SparsityTarget
from keras_dlparts.callbacks.weight_average import WeightAverage

__all__ = [
    "LSUV",
    "ActivationHealth",
    "GeneratedSamples",
    "GradientFlow",
    "HutchinsonCurvature",
    "RelaxedSmoothnessClipping",
    "SmoothnessTrace",
    "SparsityLog",
    "SparsityTarget",
    "WeightAverage",
]


def __dir__():
    return __all__
