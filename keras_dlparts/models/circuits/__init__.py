"""Nets that are built by hand: exact Keras models with stated size, depth and error.

Each function writes the weights down that a proof constructs, and says how large the
net is and where it is exact. What comes back is an ordinary Keras model: it is saved,
loaded and trained on as any other. They are functions and no parts of a config, since
a net that is exact already has nothing to learn there.
"""

from keras_dlparts.models.circuits.alternating import alternating
from keras_dlparts.models.circuits.approximation import approximate
from keras_dlparts.models.circuits.bits import bit_sum, bits
from keras_dlparts.models.circuits.boolean import boolean
from keras_dlparts.models.circuits.circuit_size import CircuitSize, size
from keras_dlparts.models.circuits.parity_tree import parity
from keras_dlparts.models.circuits.piecewise_constant import piecewise_constant
from keras_dlparts.models.circuits.product_of_sums import product_of_sums
from keras_dlparts.models.circuits.sawtooth import sawtooth

__all__ = [
    "CircuitSize",
    "alternating",
    "approximate",
    "bit_sum",
    "bits",
    "boolean",
    "parity",
    "piecewise_constant",
    "product_of_sums",
    "sawtooth",
    "size",
]


def __dir__():
    return __all__
