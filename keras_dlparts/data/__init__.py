"""Sources of data, one a file: read from files or made for studying a method."""

from keras_dlparts.data.adding import Adding
from keras_dlparts.data.batches import Batches
from keras_dlparts.data.csv import Csv
from keras_dlparts.data.digits import Digits
from keras_dlparts.data.gaussians import Gaussians
from keras_dlparts.data.idx import Idx
from keras_dlparts.data.image_folder import ImageFolder
from keras_dlparts.data.keras_dataset import KerasDataset
from keras_dlparts.data.mnist1d import Mnist1d
from keras_dlparts.data.npz import Npz
from keras_dlparts.data.own import Arrays
from keras_dlparts.data.parity import Parity
from keras_dlparts.data.parquet import Parquet
from keras_dlparts.data.source import Source, Spec, Splits
from keras_dlparts.data.spirals import Spirals
from keras_dlparts.data.stacked import Stacked
from keras_dlparts.data.tfds import Tfds

__all__ = [
    "Adding",
    "Arrays",
    "Batches",
    "Csv",
    "Digits",
    "Gaussians",
    "Idx",
    "ImageFolder",
    "KerasDataset",
    "Mnist1d",
    "Npz",
    "Parity",
    "Parquet",
    "Source",
    "Spec",
    "Spirals",
    "Splits",
    "Stacked",
    "Tfds",
]


def __dir__():
    return __all__
