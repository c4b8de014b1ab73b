"""The dtypes that a test asks of every backend."""

import pytest

from keras_dlparts import backend

# JAX has no float64 unless it is told so before it starts.
FLOAT64 = pytest.param(
    "float64", marks=pytest.mark.skipif(backend.name() == "jax", reason="no float64")
)
