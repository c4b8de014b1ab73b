"""Npz: named numpy arrays in one `.npz` file, as `np.savez` writes it.

    <x>_train  <y>_train  <x>_validation  <y>_validation  <x>_test  <y>_test

or just `<x>` and `<y>`, which then are the training data. Samples lie along the
first axis. Arrays of Python objects are refused: they would run code.
"""

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_path


def example(folder):
    """Write a small file into `folder`; the arguments that read it."""
    x = np.arange(40, dtype="float32").reshape(20, 2)
    path = Path(folder) / "example.npz"
    np.savez(path, x_train=x, y_train=x[:, 0], x_test=x, y_test=x[:, 0])
    return {"path": str(path)}


CASES = {"Npz": ({"arguments": example},)}


class Npz(Source):
    """Arrays of an `.npz` file.

    Args:
        path: The file.
        x: Name of the input array without `_train` and so on, or a list of
            names for a dict of inputs.
        y: Likewise for the targets; None for no targets.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(folder + "/a.npz", image=np.ones((9, 4)), label=np.ones(9))
    ...     source = Npz(folder + "/a.npz", x="image", y="label")
    ...     source.element_spec
    (Spec(shape=(4,), dtype='float64'), Spec(shape=(), dtype='float64'))
    """

    def __init__(
        self,
        path: str | os.PathLike,
        x: str | Sequence[str] = "x",
        y: str | Sequence[str] | None = "y",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_path("path", path)
        for name, value in {"x": x, "y": y}.items():
            names = [value] if isinstance(value, str) else value
            if (names is not None or name == "x") and not (
                isinstance(names, list | tuple)
                and names
                and all(isinstance(n, str) and n for n in names)
            ):
                raise TypeError(
                    f"`{name}` must be the name of an array or a list of names. "
                    f"Received: {name}={value!r}"
                )
        self.path = path
        self.x = x
        self.y = y

    def load(self):
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"`path` must be an .npz file. Received: {self.path}, which is "
                f"{'a folder' if path.is_dir() else 'not there'}"
            )
        try:
            with open(path, "rb") as file:
                arrays = np.load(file, allow_pickle=False)
                if isinstance(arrays, np.ndarray):
                    raise ValueError("it holds one array and no names; use np.savez")
                return self._splits_of(arrays)
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(
                f"{self.path} cannot be read as an .npz file of plain arrays: {error}"
            ) from error

    def _splits_of(self, arrays):
        names = [self.x] if isinstance(self.x, str) else self.x
        suffix = "_train" if any(f"{n}_train" in arrays.files for n in names) else ""

        def pick(wanted, suffix):
            if wanted is None or isinstance(wanted, str):
                return None if wanted is None else read(wanted + suffix)
            return {name: read(name + suffix) for name in wanted}

        def read(name):
            if name not in arrays.files:
                raise ValueError(
                    f"there is no array {name!r}. Received: {', '.join(arrays.files)}. "
                    "Say with `x` and `y` how the arrays are named; y=None for none"
                )
            return arrays[name]

        def pair(suffix):
            if not any(name + suffix in arrays.files for name in names):
                return None
            return pick(self.x, suffix), pick(self.y, suffix)

        return Splits(
            train=(pick(self.x, suffix), pick(self.y, suffix)),
            validation=pair("_validation"),
            test=pair("_test"),
        )
