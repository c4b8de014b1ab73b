"""The splits that a source loads, and what their arrays must be to train a model."""

import contextlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_dlparts.data.batches import map_arrays


class Splits(NamedTuple):
    """What `load` returns: `(x, y)` or `(x, y, sample_weight)` a split, or None.

    Each is an array or a dict, list or tuple of arrays, with the samples along the
    first axis; `y` may be None.
    """

    train: tuple[Any, ...]
    validation: tuple[Any, ...] | None = None
    test: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Spec:
    """Shape of one sample (without the batch axis) and name of its dtype."""

    shape: tuple[int, ...]
    dtype: str


# By numpy's letter for the kind of a dtype: what was received, and the mend.
_TEXT = "text", "Encode it as numbers"
_NOT_REAL = {
    "O": ("objects", "Encode text as numbers; pad what differs in length"),
    "U": _TEXT,
    "S": _TEXT,
    "c": ("complex numbers", "Give real and imaginary parts as features"),
}


def _check_dtype(where, label, dtype):
    """Raise unless the dtype is one of real numbers, and one that Keras has."""
    received, mend = _NOT_REAL.get(dtype.kind, (dtype.name, "Convert them"))
    with contextlib.suppress(ValueError):
        keras.backend.standardize_dtype(dtype.name)  # raises for one it does not have
        if dtype.kind not in _NOT_REAL:
            return
    raise ValueError(
        f"{where}: samples must be real numbers, of a dtype that Keras has, in arrays "
        f"of one shape. Received: {received} in {label}. {mend}"
    )


def specs_of(where, pair):
    """The specs of a pair `(x, y)` after checking that its arrays fit together."""
    x, y, *weight = pair
    lengths = {}

    def spec(label):
        def of(array):
            if not hasattr(array, "__len__") or isinstance(array, list | tuple):
                raise TypeError(
                    f"{where}: {label} must be an array or a dict of arrays. "
                    f"Received: {type(array).__name__}"
                )
            if getattr(array, "shape", None) == ():
                raise ValueError(
                    f"{where}: {label} must have its samples along the first axis. "
                    f"Received: a single value, {array}"
                )
            lengths.setdefault(len(array), label)
            if not len(array):
                raise ValueError(
                    f"{where}: a split must have at least one sample. Received: "
                    f"an empty {label}"
                )
            first = np.asarray(array[np.arange(1)])
            _check_dtype(where, label, first.dtype)
            return Spec(first.shape[1:], first.dtype.name)

        return of

    specs = map_arrays(spec("x"), x), None if y is None else map_arrays(spec("y"), y)
    for each in weight:
        map_arrays(spec("sample_weight"), each)
    if len(lengths) > 1:
        raise ValueError(
            f"{where}: all arrays must have the same number of samples. Received: "
            + " and ".join(f"{n} in {label}" for n, label in lengths.items())
        )
    return specs
