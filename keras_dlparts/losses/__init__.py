"""Losses, one a file."""

from keras_dlparts.losses.perceptron_loss import PerceptronLoss

__all__ = [
    "PerceptronLoss",
]


def __dir__():
    return __all__
