"""A trained model -> another one: folded, recalibrated, sized, stripped, deepened."""

from keras_dlparts.surgery.compacting import compact
from keras_dlparts.surgery.deepening import deepen
from keras_dlparts.surgery.folding import fold
from keras_dlparts.surgery.lsuv import lsuv
from keras_dlparts.surgery.population import recalibrate
from keras_dlparts.surgery.stripping import strip

__all__ = ["compact", "deepen", "fold", "lsuv", "recalibrate", "strip"]


def __dir__():
    return __all__
