"""The folders of the data sets, each with its four files in MNIST's own format."""

import functools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_dlparts.data import Idx
from keras_dlparts.data.idx import write_idx

PREFIXES = {"train": "train", "test": "t10k"}


class Images(NamedTuple):
    """Grey values in [0, 1] as (images, 28, 28), and their classes."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def folder(name, given=None):
    """The folder of a data set.

    `given` is a folder that has it, as `mnist` or `fashion-mnist`. Without it Keras
    fetches the data, once, and the files are kept in the user's cache.
    """
    if given is not None:
        path = Path(given) / name
        if not path.is_dir():
            raise FileNotFoundError(f"{given} must have a folder {name!r}")
        return path
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "keras_dlparts/data" / name
    if not (path / "t10k-labels-idx1-ubyte").exists():
        import keras

        sets = {
            "mnist": keras.datasets.mnist,
            "fashion-mnist": keras.datasets.fashion_mnist,
        }
        _write(path, *sets[name].load_data())
    return path


def made(path):
    """A folder of 360 images of 28 x 28 from scikit-learn's digits, to try a claim."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.kron(digits.images[:360] * (255 / 16), np.ones((3, 3)))
    images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    labels = digits.target[:360]
    _write(path, (images[:300], labels[:300]), (images[300:], labels[300:]))
    return path


def _write(path, train, test):
    path.mkdir(parents=True, exist_ok=True)
    for part, (x, y) in {"train": train, "test": test}.items():
        prefix = PREFIXES[part]
        write_idx(path / f"{prefix}-images-idx3-ubyte", np.asarray(x))
        write_idx(path / f"{prefix}-labels-idx1-ubyte", np.asarray(y))


def images(path, train=None):
    """All images of a folder, or only the first `train` of those to learn from."""
    found = _read(Path(path))
    return found._replace(x=found.x[:train], y=found.y[:train])


@functools.lru_cache(maxsize=1)
def _read(path):
    source = Idx(path, channel_axis=False, validation_split=0.0)
    (x, y), (x_test, y_test) = source.train.arrays(), source.test.arrays()
    return Images(x, y.astype("int"), x_test, y_test.astype("int"))


def flat_images(path, train=None):
    """The same `Images`, each image as a row of its 784 grey values."""
    found = images(path, train)
    x, x_test = (part.reshape(len(part), -1) for part in (found.x, found.x_test))
    return found._replace(x=x, x_test=x_test)
