"""KerasDataset: what `keras.datasets` has already put into its cache folder.

    mnist fashion_mnist cifar10 cifar100     images: x float32 in [0, 1], y int32
    california_housing                       x (8,) and y () float32, dollars

The folder is `datasets` in `KERAS_HOME` or in `~/.keras`. Keras would download
what is missing or damaged; here nothing is, so the files are read without it.
"""

import os
import pickle
from pathlib import Path
from typing import Literal

import numpy as np

from keras_dlparts.data.idx import read_idx
from keras_dlparts.data.images import prepare_images
from keras_dlparts.data.npz import Npz
from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_path


class _ArraysOnly(pickle.Unpickler):
    """CIFAR comes as pickles of arrays: nothing else may be made from them."""

    def find_class(self, module, name):
        allowed = {
            "ndarray": np.ndarray,
            "dtype": np.dtype,
            "_reconstruct": np.zeros(0).__reduce__()[0],
        }
        if module.partition(".")[0] == "numpy" and name in allowed:
            return allowed[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no array")


def _npz(folder, name):
    source = Npz(folder / name, validation_split=0)
    return source.load()


def _mnist(folder):
    splits = _npz(folder, "mnist.npz")
    return _labelled(splits.train, splits.test)


def _fashion_mnist(folder):
    folder = folder / "fashion-mnist"
    train, test = (
        [
            read_idx(_file(folder / f"{split}-{kind}-ubyte.gz"))
            for kind in ("images-idx3", "labels-idx1")
        ]
        for split in ("train", "t10k")
    )
    return _labelled(train, test)


def _cifar(folder, label, name, train, test):
    # Newer versions of Keras unpack into a folder of their own.
    own = folder / f"{name}-target" / name
    folder = own if own.is_dir() else folder / name

    def read(file):
        path = _file(folder / file)
        try:
            with open(path, "rb") as content:
                batch = _ArraysOnly(content, encoding="bytes").load()
            images = np.asarray(batch[b"data"], "uint8").reshape(-1, 3, 32, 32)
            return images.transpose(0, 2, 3, 1), np.asarray(batch[label])
        except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as e:
            raise ValueError(f"{path} is damaged: {e}. Fetch it again") from e

    images, labels = zip(*map(read, train), strict=True)
    return _labelled((np.concatenate(images), np.concatenate(labels)), read(test))


def _cifar10(folder):
    train = [f"data_batch_{i}" for i in range(1, 6)]
    return _cifar(folder, b"labels", "cifar-10-batches-py", train, "test_batch")


def _cifar100(folder):
    return _cifar(folder, b"fine_labels", "cifar-100-python", ["train"], "test")


def _california_housing(folder):
    x, y = _npz(folder, "california_housing.npz").train
    # The same shuffle and split as `keras.datasets`, so that results can be compared.
    rows = np.arange(len(x))
    np.random.RandomState(113).shuffle(rows)
    x, y = x[rows].astype("float32"), y[rows].astype("float32")
    n = int(len(x) * 0.8)
    return Splits(train=(x[:n], y[:n]), test=(x[n:], y[n:]))


DATA_SETS = {
    "mnist": _mnist,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "california_housing": _california_housing,
}


def _labelled(train, test):
    pairs = [(prepare_images(x), y.astype("int32")) for x, y in (train, test)]
    return Splits(train=pairs[0], test=pairs[1])


def _file(path):
    if not path.is_file():
        raise FileNotFoundError(path)
    return path


def example(folder):
    """Write a small `mnist.npz` into `folder`; the arguments that read it."""
    x = np.arange(20 * 4 * 4, dtype="uint8").reshape(20, 4, 4)
    y = np.arange(20, dtype="uint8") % 2
    np.savez(Path(folder) / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return {"name": "mnist", "folder": str(folder)}


CASES = {"KerasDataset": ({"arguments": example},)}


class KerasDataset(Source):
    """A data set of `keras.datasets` that was downloaded before.

    Args:
        name: `"mnist"`, `"fashion_mnist"`, `"cifar10"`, `"cifar100"` or
            `"california_housing"`.
        folder: Where its files are. None for Keras' cache folder.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     KerasDataset(**example(folder)).element_spec
    (Spec(shape=(4, 4, 1), dtype='float32'), Spec(shape=(), dtype='int32'))
    """

    def __init__(
        self,
        name: Literal[
            "mnist", "fashion_mnist", "cifar10", "cifar100", "california_housing"
        ],
        folder: str | os.PathLike | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if name not in DATA_SETS:
            raise ValueError(
                f"`name` must be one of {', '.join(DATA_SETS)}. Received: name={name!r}"
            )
        if folder is not None:
            check_path("folder", folder)
        self.name = name
        self.folder = folder

    def load(self):
        folder = self.folder
        if folder is None:
            home = os.environ.get("KERAS_HOME") or Path("~", ".keras")
            folder = Path(home, "datasets")
        try:
            return DATA_SETS[self.name](Path(folder).expanduser())
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{self.name!r} must be in {folder}; nothing is downloaded here. "
                f"Received: {error}. Fetch it once: python -c 'import keras; "
                f"keras.datasets.{self.name}.load_data()'"
            ) from error
