"""Data of one's own, as a training takes it: what `fit` takes, made a source.

What it is, and what goes through it:

    arrays                           `Arrays`: shuffled here, any epoch can be repeated
    keras.utils.PyDataset            `Indexed`: replayed, and watched for its order
    tf.data.Dataset, DataLoader,
    any iterable of batches, a
    function that gives one          `Passes`: likewise, read from front to back
    a source                         itself
"""

import contextlib
import functools
import itertools
from typing import Any

import keras
import numpy as np

from keras_dlparts.data.batches import Batches
from keras_dlparts.data.passes import Indexed, Passes
from keras_dlparts.data.source import Source, Spec, Splits

# What the cardinality of a tf.data.Dataset says.
_ENDLESS, _UNKNOWN = -1, -2


class Arrays(Source):
    """Arrays in memory as a source of data.

    Args:
        train: `x`, `(x, y)` or `(x, y, sample_weight)`. Each is an array, or a dict,
            list or tuple of arrays; a pandas `DataFrame` or `Series`, a tensor and a
            list of numbers are arrays.
        validation, test: Likewise, or None.
        batch_size, shuffle, validation_split, seed: As for every source, see
            `keras_dlparts.data.Source`; nothing is cut off to validate on by default.

    Example:

    >>> import numpy as np
    >>> source = Arrays((np.zeros((5, 2)), np.arange(5)), batch_size=4)
    >>> len(source.train), source.element_spec[0].shape, source.validation
    (2, (2,), None)
    """

    def __init__(
        self,
        train: Any,
        validation: Any = None,
        test: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        validation_split: float = 0.0,
        seed: int = 0,
    ):
        super().__init__(batch_size, shuffle, validation_split, seed)
        given = (train, validation, test)
        self._given = Splits(*(None if g is None else _triple(g) for g in given))

    def load(self):
        return self._given


def _triple(data):
    """`(x, y, sample_weight)` of arrays, the last of them left out where not given."""
    parts = data if isinstance(data, tuple) else (data,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(
            "Arrays are given as x, (x, y) or (x, y, sample_weight). Received: a tuple "
            f"of {len(parts)}. Give several inputs as a list: ([a, b], y)"
        )
    parts = [None if part is None else _arrays(part) for part in parts]
    return (*parts, None)[:2] if len(parts) < 3 or parts[2] is None else (*parts,)


def _arrays(value):
    """An array, or a dict or tuple of arrays, of what can be read as such."""
    if isinstance(value, dict):
        return {name: _arrays(each) for name, each in value.items()}
    if isinstance(value, list | tuple) and any(map(is_array, value)):
        return tuple(map(_arrays, value))
    if hasattr(value, "to_numpy"):  # pandas
        return value.to_numpy()
    if hasattr(value, "detach"):  # PyTorch
        return value.detach().cpu().numpy()
    # What is an array already, such as `np.memmap`, is not read into memory.
    return value if isinstance(value, np.ndarray) else np.asarray(value)


def is_array(value):
    """Whether a value is an array, a tensor, or a table of pandas."""
    return hasattr(value, "shape") and hasattr(value, "ndim")


class Own:
    """A source of data that comes in batches already.

    Attributes:
        train: `Indexed` or `Passes`.
        validation: What Keras' `fit` takes, or None.
        test: None.
        element_spec: `(x, y)`, of the first batch.
        origin: The object that was given.
    """

    test = None

    def __init__(self, origin, train, validation=None):
        self.origin, self.train, self.validation = origin, train, validation

    @functools.cached_property
    def element_spec(self):
        x, y, *_ = (*self.train[0], None)

        def spec(array):
            return Spec(array.shape[1:], array.dtype.name)

        return keras.tree.map_structure(spec, x), (
            None if y is None else keras.tree.map_structure(spec, y)
        )


def source_of(
    data: Any,
    validation: Any = None,
    batch_size: int | None = None,
    validation_split: float | None = None,
    steps: int | None = None,
    seed: int = 0,
):
    """The source that data of one's own stands for.

    Args:
        data: What `keras_dlparts.train` takes as `data`.
        validation: What it takes as `validation_data`.
        batch_size, validation_split: Of arrays, and only of these.
        steps: The batches of an epoch, for data that does not end or is to be cut.
        seed: Of the order of arrays.

    Example:

    >>> source_of((np.zeros((4, 2)), np.zeros(4)), batch_size=2).train[0][0].shape
    (2, 2)
    >>> source_of(iter([]))
    Traceback (most recent call last):
    TypeError: Data is read anew in each epoch. Received: list_iterator, which can be
    read once. Give a list of batches, a `keras.utils.PyDataset`, or a function that
    gives such an iterator
    """
    if isinstance(data, Own):
        return data
    given = {"batch_size": batch_size, "validation_split": validation_split}
    given = {name: value for name, value in given.items() if value is not None}
    if validation is not None and validation_split is not None:
        raise ValueError(
            "Validation data is given, or cut off. Received: validation_data and "
            f"validation_split={validation_split}. Leave one out"
        )
    if _is_arrays(data):
        if steps is not None:
            raise ValueError(
                "`steps_per_epoch` is for data that comes in batches. Received: "
                f"steps_per_epoch={steps} and arrays. Leave it out"
            )
        if validation is None or _is_arrays(validation):
            return Arrays(data, validation, seed=seed, **given)
        source = Arrays(data, seed=seed, **given)
        source.validation = validation_of(validation)
        return source
    if given:
        name, value = next(iter(given.items()))
        raise ValueError(
            f"`{name}` is for arrays. Received: {name}={value} and "
            f"{type(data).__name__}, which brings its own batches. Leave it out"
        )
    if isinstance(data, Source):
        if validation is not None or steps is not None:
            name = "steps_per_epoch" if validation is None else "validation_data"
            raise ValueError(
                f"A source brings its own splits. Received: {name} and "
                f"{type(data).__name__}. Leave it out"
            )
        return data
    return Own(data, _train(data, steps), validation_of(validation))


def _is_arrays(data):
    if isinstance(data, tuple):
        return all(part is None or _is_arrays(part) for part in data)
    if isinstance(data, dict):
        return bool(data) and all(map(_is_arrays, data.values()))
    if isinstance(data, list):
        # A list of tuples is a list of batches; one of arrays is several inputs.
        return all(is_array(each) or _is_number(each) for each in data)
    return is_array(data)


def _is_number(value):
    rows = isinstance(value, list) and all(map(_is_number, value))
    return rows or isinstance(value, int | float)


def _train(data, steps):
    """What a training goes through, of data in batches."""
    if isinstance(data, Batches) and steps is None:
        return data
    if isinstance(data, keras.utils.PyDataset):
        if steps is None and data.num_batches is not None:
            return Indexed(data)
        make = functools.partial(_items, data)
    else:
        make = functools.partial(_iterator, data)
    if steps is not None:
        return Passes(make, steps, goes_on=True)
    return Passes(make, _count(data))


def _items(dataset):
    """Go through a `keras.utils.PyDataset`, which may have no end."""
    count = dataset.num_batches
    for index in itertools.count() if count is None else range(count):
        yield dataset[index]
    dataset.on_epoch_end()


def _iterator(data):
    """An iterator over the batches of one pass."""
    found = data
    if callable(data) and not hasattr(data, "__iter__"):
        found = data()
    if not hasattr(found, "__iter__"):
        raise TypeError(
            "Data is arrays, `(x, y)`, or comes in batches: a tf.data.Dataset, a "
            "keras.utils.PyDataset, a DataLoader, a list of batches, a source of "
            f"keras_dlparts.data, a function that gives one. Received: "
            f"{type(found).__name__}"
        )
    iterator = iter(found)
    if iterator is data:
        raise TypeError(
            f"Data is read anew in each epoch. Received: {type(data).__name__}, which "
            "can be read once. Give a list of batches, a `keras.utils.PyDataset`, or a "
            "function that gives such an iterator"
        )
    return iterator


def _count(data):
    """How many batches data has that ends; where it does not say so, a pass counts."""
    count = None
    if hasattr(data, "cardinality"):  # a tf.data.Dataset
        count = int(data.cardinality())
        if count == _UNKNOWN:
            count = None
    elif isinstance(data, keras.utils.PyDataset):
        count = _ENDLESS  # one with a length is an `Indexed`
    elif hasattr(data, "__len__"):
        with contextlib.suppress(TypeError):  # a DataLoader of an IterableDataset
            count = len(data)
    if count == _ENDLESS:
        raise ValueError(
            "The data must end, or `steps_per_epoch` must say how many batches an "
            f"epoch has. Received: {type(data).__name__}, which does not end"
        )
    if count is None:
        count = sum(1 for _ in _iterator(data))
    if not count:
        raise ValueError(
            "The data must have at least one batch. Received: an empty "
            f"{type(data).__name__}"
        )
    return count


def validation_of(data):
    """Validation data as `fit` takes it."""
    if data is None:
        return None
    if isinstance(data, Source):
        raise TypeError(
            "`validation_data` is arrays or comes in batches. Received: "
            f"{type(data).__name__}, a source. Give one of its splits, as in "
            "validation_data=source.test"
        )
    if _is_arrays(data):
        return Arrays(data, shuffle=False).train
    if isinstance(data, keras.utils.PyDataset):
        return data
    _iterator(data)  # raises for what can be read once
    if hasattr(data, "cardinality") and int(data.cardinality()) == _ENDLESS:
        raise ValueError(
            "`validation_data` must end. Received: a tf.data.Dataset that does not. "
            "Cut it by `take`"
        )
    if hasattr(data, "cardinality") or type(data).__module__.startswith("torch."):
        return data  # Keras reads it as it is
    return Passes(functools.partial(_iterator, data), _count(data))
