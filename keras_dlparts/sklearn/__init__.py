"""Estimators for scikit-learn, one a file: in a `Pipeline`, a `GridSearchCV`.

They need scikit-learn: `pip install keras-dlparts[tune]`.
"""

try:
    import sklearn
except ImportError as error:
    raise ImportError(
        "keras_dlparts.sklearn needs scikit-learn: pip install keras-dlparts[tune]"
    ) from error

from keras_dlparts.sklearn.kernel_machine import KernelMachine
from keras_dlparts.sklearn.rbm_transformer import RBMTransformer

__all__ = ["KernelMachine", "RBMTransformer"]


def __dir__():
    return __all__
