"""Regularizers, one a file."""

from keras_dlparts.regularizers.sparsity_kl import SparsityKL

__all__ = ["SparsityKL"]


def __dir__():
    return __all__
