"""What every source of data is: splits that are loaded once, served in batches.

A source is a subclass of `Source` that implements `load()`. Making one checks its
arguments; the data is read at the first use of a split. Where `load` brings no
validation data, a share of the training data is cut off for it:

    validation = the first max(1, round(n v)) samples of a permutation of n that
                 depends on the seed only

All of a source's randomness comes from `seed`: what is made, what is cut off, what is
drawn, and the order of each epoch. What is common to all sources happens in this order:

    load -> binarize: once -> samples -> validation cut off -> batches of an epoch's
    order -> transform -> binarize: anew
"""

import abc
import functools
from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_dlparts.data import changes, choosing
from keras_dlparts.data.batches import Batches, length, map_arrays
from keras_dlparts.data.splits import Spec, Splits, specs_of
from keras_dlparts.support.checks import (
    check_count,
    check_flag,
    check_number,
    check_word,
)

__all__ = ["Source", "Spec", "Splits"]


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
        samples: Integer, `>= 1`. How many of the training samples to take, chosen at
            random, as if there were no others; the share to validate on is cut off
            them. More samples contain the fewer ones of the same seed. None for all.
            Sources that make their data make so many.
        balanced: Whether `samples` has as many of each class, or one more.
        transform: What to do to the training samples, anew in each epoch: a layer
            that has nothing to learn, or a list of them, as `RandomFlip` and
            `RandomRotation`. They are called with `training=True` and draw by `seed`,
            not by seeds of their own. Other splits are left as they are.
        binarize: Draw each value x in [0, 1] as 1 with the chance x, else 0: `"once"`
            when the data is loaded, or `"anew"` in each epoch, after `transform`;
            what validates and tests is drawn once. None to leave it.
        validation: `"test"` to validate on the test data, so that all training samples
            train. The best epoch is then chosen on the test data, which flatters it.

    Attributes:
        train: `Batches`.
        train_all: `Batches`, those that `samples` leaves out among them.
        validation: `Batches` or None.
        test: `Batches` or None.
        element_spec: `(x, y)` with a `Spec` for each array, None for a missing y.
        class_names: The names of the classes 0, 1, ..., once the data was read; None
            where there are none.

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

    class_names: list[str] | None = None

    def __init__(
        self,
        batch_size: int = 32,
        shuffle: bool = True,
        validation_split: float = 0.1,
        seed: int = 0,
        targets: Literal["inputs"] | None = None,
        samples: int | None = None,
        balanced: bool = False,
        transform: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
        binarize: Literal["once", "anew"] | None = None,
        validation: Literal["test"] | None = None,
    ):
        check_count("batch_size", batch_size, 1)
        check_flag("shuffle", shuffle)
        check_number("validation_split", validation_split, least=0, below=1)
        check_count("seed", seed, 0)
        words = {"targets": ("inputs",), "binarize": ("once", "anew")}
        given = {"targets": targets, "binarize": binarize, "validation": validation}
        for name, value in given.items():
            if value is not None:
                check_word(name, value, words.get(name, ("test",)))
        if samples is not None:
            check_count("samples", samples, 1)
        check_flag("balanced", balanced)
        if balanced and samples is None:
            raise ValueError(
                "`balanced` says how `samples` of a larger data set are chosen. "
                "Received: balanced=True without samples. Say how many"
            )
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.validation_split = validation_split
        self.seed = seed
        self.targets = targets
        # Not by their names, for a subclass may have attributes of these names itself.
        self._samples, self._balanced = samples, balanced
        self._transform = [] if transform is None else changes.listed(transform)
        self._binarize, self._validation = binarize, validation

    @abc.abstractmethod
    def load(self) -> Splits:
        """Read or make the data and return it as `Splits`."""

    def generator(self, stream: int) -> np.random.Generator:
        """A numpy generator of this seed; streams are independent of each other."""
        # Three numbers, since two, (seed, epoch), seed the order of the batches.
        return np.random.default_rng([self.seed, stream, 1])

    def _draws(self, number):
        """A generator for what all sources draw; `generator` gives none of these."""
        return np.random.default_rng([self.seed, number, 1, 1])

    @functools.cached_property
    def _splits(self):
        splits = self.load()
        name = type(self).__name__
        if not isinstance(splits, Splits) or splits.train is None:
            raise TypeError(
                f"{name}.load must return `Splits` with a `train`. Received: "
                f"{type(splits).__name__}"
            )
        specs = {
            split: specs_of(f"{name}, {split}", pair)
            for split, pair in splits._asdict().items()
            if pair is not None
        }
        for split, spec in specs.items():
            if spec != specs["train"]:
                raise ValueError(
                    f"{name}: all splits must have the same shapes and dtypes. "
                    f"Received: train {specs['train']} and {split} {spec}"
                )
        drawn = {"transform": self._transform, "binarize": self._binarize}
        for word, wanted in drawn.items():
            if wanted and isinstance(splits.train[0], dict):
                raise ValueError(
                    f"`{word}` needs data with one input. Received: {name} with "
                    f"several, {', '.join(splits.train[0])}"
                )
        if self._binarize:
            splits = self._binary(splits)
        if self._validation == "test":
            splits = _validated_by_test(splits)
        if self.targets == "inputs":
            splits = Splits(
                *(pair and (pair[0], pair[0], *pair[2:]) for pair in splits)
            )
        return splits

    def _binary(self, splits):
        """The splits, those drawn that are not drawn anew in each epoch."""
        kept = 1 if self._binarize == "anew" else 0
        drawn = [
            pair and (changes.binary(pair[0], self._draws(number)), *pair[1:])
            for number, pair in enumerate(splits[kept:], kept)
        ]
        return Splits(*splits[:kept], *drawn)

    @functools.cached_property
    def _rows(self):
        """Of the training data the rows to train on and to validate on.

        None stands for all of them, or for no validation.
        """
        splits, pool = self._splits, None
        total = count = length(splits.train[0])
        if self._samples is not None:
            generator = self._draws(3)
            if self._balanced:
                pool = choosing.balanced(splits.train[1], self._samples, generator)
            else:
                pool = choosing.at_random(total, self._samples, generator)
            count = len(pool)
        if splits.validation is not None or not self.validation_split:
            return pool if pool is None else np.sort(pool), None
        held = max(1, round(count * self.validation_split))
        if held >= count:
            raise ValueError(
                f"`validation_split` must leave samples to train on. Received: "
                f"validation_split={self.validation_split} of {count} samples. "
                "Lower it, or set it to 0"
            )
        if self._balanced:
            # The end is as balanced as the beginning, with which more samples begin.
            order = pool[::-1]
        else:
            order = self.generator(0).permutation(count)
            order = order if pool is None else pool[order]
        return np.sort(order[held:]), np.sort(order[:held])

    @functools.cached_property
    def _layers(self):
        if not self._transform:
            return []
        return changes.built(
            self._transform, self.seed, *_taken(self._splits.train, slice(2))[:2]
        )

    def _batches(self, pair, rows=None, training=False):
        change, anew = None, self._binarize == "anew"
        if training and (self._layers or anew):
            change = changes.Change(self._layers, self.seed, anew)
        shuffle = training and self.shuffle
        x, y, *weight = pair
        return Batches(x, y, self.batch_size, shuffle, self.seed, rows, change, *weight)

    @functools.cached_property
    def train(self) -> Batches:
        return self._batches(self._splits.train, self._rows[0], training=True)

    @functools.cached_property
    def train_all(self) -> Batches:
        if self._samples is None:
            return self.train
        rows, held = np.arange(length(self._splits.train[0])), self._rows[1]
        rows = rows if held is None else np.delete(rows, held)
        return self._batches(self._splits.train, rows, training=True)

    @functools.cached_property
    def validation(self) -> Batches | None:
        splits, (_, rows) = self._splits, self._rows
        if splits.validation is not None:
            return self._batches(splits.validation)
        if rows is None:
            return None
        if self._binarize == "anew":
            x, y, *weight = _taken(splits.train, rows)
            drawn = changes.binary(x, self._draws(4))
            return self._batches((drawn, drawn if y is x else y, *weight))
        return self._batches(splits.train, rows)

    @functools.cached_property
    def test(self) -> Batches | None:
        pair = self._splits.test
        return None if pair is None else self._batches(pair)

    @functools.cached_property
    def element_spec(self) -> tuple[Any, Any]:
        return specs_of(type(self).__name__, self._splits.train)


def _taken(pair, rows):
    """The samples at some rows of what `Splits` has; a y that is x stays x."""
    x, y, *weight = (
        None if part is None else map_arrays(lambda array: array[rows], part)
        for part in pair
    )
    return x, x if pair[1] is pair[0] else y, *weight


def _validated_by_test(splits):
    if splits.validation is not None or splits.test is None:
        has = "no test data" if splits.test is None else "validation data of its own"
        raise ValueError(
            "`validation` can be 'test' where the source brings test data, and no "
            f"validation data. Received: a source with {has}. Leave it out"
        )
    return splits._replace(validation=splits.test)
