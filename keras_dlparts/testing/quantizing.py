"""What is asked of `model.quantize`. The docstring of a check is its rule.

Keras quantises Dense, EinsumDense and Embedding layers, wherever they are inside, and
leaves others with a warning. A part that must have such a layer as it is says so with
`support.quantization.keep_whole`.
"""

import os
import tempfile
import warnings

import keras
import numpy as np

from keras_dlparts.testing import general
from keras_dlparts.testing.cases import require
from keras_dlparts.testing.examples import alone

# 8 bits tell 127 sizes apart; several layers, one after another, add up what they lose.
_LOSS = 0.05


def quantizes_to_int8(case):
    """A model quantised to int8 computes about the same, and exactly that once saved
    and loaded."""
    before, after = _quantized(case, "int8")
    for x, y in zip(before, after, strict=True):
        x, y = np.asarray(x, "float64"), np.asarray(y, "float64")
        most, scale = np.abs(x - y).max(initial=0), max(1, np.abs(x).max(initial=0))
        require(
            most <= _LOSS * scale,
            f"Quantised to int8 it computes something else, {most:.3g} apart at a "
            f"scale of {scale:.3g}: is a kernel used that is no longer in use?",
        )


def quantizes_to_float8(case):
    """A model quantised to float8 computes the same once saved and loaded."""
    _quantized(case, "float8")


def quantizes_to_int4(case):
    """A model quantised to int4 computes the same once saved and loaded."""
    _quantized(case, "int4")


CHECKS = quantizes_to_int8, quantizes_to_float8, quantizes_to_int4


def _quantized(case, mode):
    """The outputs before and after; those of the saved model are compared."""
    ours = alone(case)
    before = general.predict(ours)
    with warnings.catch_warnings():
        # Keras tells of each layer that it leaves as it is.
        warnings.simplefilter("ignore")
        ours.model.quantize(mode)
    after = general.predict(ours)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        ours.model.save(path)
        loaded = keras.saving.load_model(path)
    general.same(
        after,
        general.predict(ours, loaded),
        f"The outputs in {mode}, saved and loaded,",
    )
    return before, after
