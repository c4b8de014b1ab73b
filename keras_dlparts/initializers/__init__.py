"""Initializers, one a file."""

from keras_dlparts.initializers.critical import Critical
from keras_dlparts.initializers.delta_orthogonal import DeltaOrthogonal
from keras_dlparts.initializers.orthogonal_blocks import OrthogonalBlocks
from keras_dlparts.initializers.sparse_init import SparseInit

__all__ = ["Critical", "DeltaOrthogonal", "OrthogonalBlocks", "SparseInit"]


def __dir__():
    return __all__
