"""Schedules: numbers that depend on the training step, one a file."""

from keras_dlparts.schedules.ramp import Ramp

__all__ = ["Ramp"]


def __dir__():
    return __all__
