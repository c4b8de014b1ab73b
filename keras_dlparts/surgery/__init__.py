"""A trained model -> another one: folded, recalibrated, stripped, compacted."""

from keras_dlparts.surgery.compacting import compact
from keras_dlparts.surgery.folding import fold
from keras_dlparts.surgery.population import recalibrate
from keras_dlparts.surgery.stripping import strip

__all__ = ["compact", "fold", "recalibrate", "strip"]


def __dir__():
    return __all__
