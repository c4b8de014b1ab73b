"""Metrics, one a file."""

from keras_dlparts.metrics.mode_coverage import ModeCoverage

__all__ = [
    "ModeCoverage",
]


def __dir__():
    return __all__
