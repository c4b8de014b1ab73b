"""Idx: the file format of MNIST and its like, big-endian.

    bytes 0, 1   zero
    byte 2       dtype: 8 uint8, 9 int8, 11 int16, 12 int32, 13 float32, 14 float64
    byte 3       number of dimensions d
    4 d bytes    their sizes, uint32
    the rest     the elements, the last dimension fastest

A folder holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and, to test,
`t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`; also spelt with a dot
(`train-images.idx3-ubyte`), also with `.gz`. Debian and Ubuntu install
Fashion-MNIST that way: `apt install dataset-fashion-mnist`, then
`path="/usr/share/datasets/fashion-mnist"` (`dpkg -L dataset-fashion-mnist` lists it).
LeCun, Cortes & Burges 1998, "The MNIST database".
"""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from keras_dlparts.data.images import prepare_images
from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_flag, check_path

DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def write_idx(path, array):
    """Write a uint8 array in the format."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    Path(path).write_bytes(header + array.astype("uint8").tobytes())


def read_idx(path):
    """The array of an idx file, gzipped or not."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be unpacked: {error}. It may be truncated; fetch it again"
        ) from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES:
        raise ValueError(
            f"{path}: an idx file must begin with the magic number 0, 0, dtype, "
            f"dimensions. Received: {[*content[:4]]}"
        )
    dtype, ndim = np.dtype(DTYPES[content[2]]), content[3]
    start = 4 + 4 * ndim
    if len(content) < start:
        raise ValueError(f"{path} is truncated within its header. Fetch it again")
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        kind = "is truncated" if len(content) < expected else "has trailing bytes"
        raise ValueError(
            f"{path} {kind}: shape {shape} needs {expected} bytes. "
            f"Received: {len(content)}. Fetch it again"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def example(folder):
    """Write a small data set into `folder`; the arguments that read it."""
    pixels = np.arange(20 * 4 * 4).reshape(20, 4, 4) % 256
    for split in ("train", "t10k"):
        write_idx(Path(folder) / f"{split}-images-idx3-ubyte", pixels)
        write_idx(Path(folder) / f"{split}-labels-idx1-ubyte", np.arange(20) % 2)
    return {"path": str(folder)}


CASES = {"Idx": ({"arguments": example},)}


class Idx(Source):
    """Images and labels of MNIST-format files in a folder.

    x is float32 in [0, 1], y int32.

    Args:
        path: The folder.
        channel_axis: Whether x is `(height, width, 1)`; else `(height, width)`.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Idx(**example(folder)).element_spec
    (Spec(shape=(4, 4, 1), dtype='float32'), Spec(shape=(), dtype='int32'))
    """

    def __init__(self, path: str | os.PathLike, channel_axis: bool = True, **kwargs):
        super().__init__(**kwargs)
        check_path("path", path)
        check_flag("channel_axis", channel_axis)
        self.path = path
        self.channel_axis = channel_axis

    def load(self):
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(
                f"`path` must be a folder of MNIST-format files. Received: "
                f"{self.path}, which is {'a file' if folder.exists() else 'not there'}"
            )
        test = any(_candidates(folder, "t10k", "images"))
        test = test or any(_candidates(folder, "t10k", "labels"))
        return Splits(
            train=self._pair(folder, "train"),
            test=self._pair(folder, "t10k") if test else None,
        )

    def _pair(self, folder, split):
        paths = [_find(folder, split, kind) for kind in ("images", "labels")]
        images, labels = map(read_idx, paths)
        for array, path, ndim in zip((images, labels), paths, (3, 1), strict=True):
            if array.dtype != "u1" or array.ndim != ndim:
                raise ValueError(
                    f"{path} must hold uint8 in {ndim} dimension(s). Received: "
                    f"{array.dtype} of shape {array.shape}"
                )
        if len(images) != len(labels):
            raise ValueError(
                f"{folder}: there must be a label an image. Received: {len(images)} "
                f"images in {paths[0].name}, {len(labels)} labels in {paths[1].name}"
            )
        return prepare_images(images, self.channel_axis), labels.astype("int32")


def _names(split, kind):
    dims = {"images": 3, "labels": 1}[kind]
    names = [f"{split}-{kind}{joint}idx{dims}-ubyte" for joint in "-."]
    return [*names, *(name + ".gz" for name in names)]


def _candidates(folder, split, kind):
    return [folder / n for n in _names(split, kind) if (folder / n).is_file()]


def _find(folder, split, kind):
    found = _candidates(folder, split, kind)
    if not found:
        raise FileNotFoundError(
            f"{folder} must hold {_names(split, kind)[0]} (or with .idx, or .gz). "
            f"Received: {', '.join(sorted(p.name for p in folder.iterdir())[:8])}"
        )
    return found[0]
