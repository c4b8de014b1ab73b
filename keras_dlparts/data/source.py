"""What every source of data is: splits that are loaded once, served in batches.

A source is a subclass of `Source` that implements `load()`. Making one checks its
arguments; the data is read at the first use of a split. Where `load` brings no
validation data, a share of the training data is cut off for it:

    validation = the first max(1, round(n v)) samples of a permutation of n that
                 depends on the seed only

All of a source's randomness comes from `seed`: what is made, what is cut off, and
the order of each epoch.
"""

import abc
import contextlib
import functools
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import keras
import numpy as np

from keras_dlparts.data.batches import Batches, length, map_arrays
from keras_dlparts.support.checks import (
    check_count,
    check_flag,
    check_number,
    check_word,
)


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


class Source(abc.ABC):
    """Train, validation and test data. Subclasses implement `load`.

    Args:
        batch_size: Integer, `>= 1`.
        shuffle: Whether the training data has a new order each epoch.
        validation_split: Float, `0 <= validation_split < 1`. The share of the
            training data to validate on, where the source brings no validation
            data of its own. 0 for none.
        seed: Integer, `>= 0`.
        targets: None for the y of the data, or `"inputs"` for x in its place, as an
            autoencoder learns.

    Attributes:
        train: `Batches`.
        validation: `Batches` or None.
        test: `Batches` or None.
        element_spec: `(x, y)` with a `Spec` for each array, None for a missing y.

    Example:

    >>> class Squares(Source):
    ...     def load(self):
    ...         x = np.arange(10, dtype="float32")[:, None]
    ...         return Splits(train=(x, x**2))
    >>> source = Squares(batch_size=4, validation_split=0.2)
    >>> [len(x) for x, y in source.train], [len(x) for x, y in source.validation]
    ([4, 4], [2])
    >>> source.element_spec[0]
    Spec(shape=(1,), dtype='float32')
    """

    def __init__(
        self,
        batch_size: int = 32,
        shuffle: bool = True,
        validation_split: float = 0.1,
        seed: int = 0,
        targets: Literal["inputs"] | None = None,
    ):
        check_count("batch_size", batch_size, 1)
        check_flag("shuffle", shuffle)
        check_number("validation_split", validation_split, least=0, below=1)
        check_count("seed", seed, 0)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.validation_split = validation_split
        if targets is not None:
            check_word("targets", targets, ("inputs",))
        self.seed = seed
        self.targets = targets

    @abc.abstractmethod
    def load(self) -> Splits:
        """Read or make the data and return it as `Splits`."""

    def generator(self, stream: int) -> np.random.Generator:
        """A numpy generator of this seed; streams are independent of each other."""
        # Three numbers, since two, (seed, epoch), seed the order of the batches.
        return np.random.default_rng([self.seed, stream, 1])

    @functools.cached_property
    def _splits(self):
        splits = self.load()
        name = type(self).__name__
        if not isinstance(splits, Splits) or splits.train is None:
            raise TypeError(
                f"{name}.load must return `Splits` with a `train`. Received: "
                f"{type(splits).__name__}"
            )
        if self.targets == "inputs":
            splits = Splits(*(pair and (pair[0], pair[0]) for pair in splits))
        specs = {
            split: _checked(f"{name}, {split}", pair)
            for split, pair in splits._asdict().items()
            if pair is not None
        }
        for split, spec in specs.items():
            if spec != specs["train"]:
                raise ValueError(
                    f"{name}: all splits must have the same shapes and dtypes. "
                    f"Received: train {specs['train']} and {split} {spec}"
                )
        return splits, specs["train"]

    @functools.cached_property
    def _cut(self):
        """The rows of the training data that train, and those that validate."""
        splits, _ = self._splits
        x = splits.train[0]
        n = length(x)
        if splits.validation is not None or not self.validation_split:
            return None, None
        held = max(1, round(n * self.validation_split))
        if held >= n:
            raise ValueError(
                f"`validation_split` must leave samples to train on. Received: "
                f"validation_split={self.validation_split} of {n} samples. "
                "Lower it, or set it to 0"
            )
        rows = self.generator(0).permutation(n)
        return np.sort(rows[held:]), np.sort(rows[:held])

    def _batches(self, pair, rows=None, shuffle=False):
        return Batches(*pair[:2], self.batch_size, shuffle, self.seed, rows, *pair[2:])

    @functools.cached_property
    def train(self) -> Batches:
        return self._batches(self._splits[0].train, self._cut[0], self.shuffle)

    @functools.cached_property
    def validation(self) -> Batches | None:
        splits, (_, rows) = self._splits[0], self._cut
        if splits.validation is not None:
            return self._batches(splits.validation)
        return None if rows is None else self._batches(splits.train, rows)

    @functools.cached_property
    def test(self) -> Batches | None:
        pair = self._splits[0].test
        return None if pair is None else self._batches(pair)

    @property
    def element_spec(self) -> tuple[Any, Any]:
        return self._splits[1]


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


def _checked(where, pair):
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
