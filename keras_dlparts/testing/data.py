"""What is asked of data sources. The docstring of a check is its rule.

A source has `train`, and `validation` and `test` or None there: each a
`keras.utils.PyDataset` with a settable `epoch`. `element_spec` declares
`(x, y)`: a spec with `shape` (without the batch) and `dtype` for each array.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_dlparts.testing.cases import require

_COMMON = {"batch_size": 4, "shuffle": True, "validation_split": 0.25}


def _make(case, **changed):
    return case.make(**{**_COMMON, "seed": 1, **changed})


def _epoch(source, epoch, count=8):
    """The arrays of the first batches of one training epoch."""
    source.train.epoch = epoch
    batches = [source.train[i] for i in range(min(count, len(source.train)))]
    return [np.asarray(array) for array in keras.tree.flatten(batches)]


def _equal(ours, theirs):
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def takes_the_common_arguments(case):
    """It takes `batch_size`, `shuffle`, `validation_split` and `seed`, and serves."""
    source = _make(case)
    require(len(source.train) > 0, "`train` has no batch.")
    missing = [name for name in ("validation", "test") if not hasattr(source, name)]
    require(not missing, f"It lacks {missing}; they may be None.")


def yields_what_it_declares(case):
    """Every split yields the shapes and dtypes of `element_spec`."""
    source = _make(case)
    told = [
        (tuple(spec.shape), str(spec.dtype)) for spec in _specs(source.element_spec)
    ]
    for split in ("train", "validation", "test"):
        for index in range(len(getattr(source, split) or ())):
            batch = keras.tree.flatten(getattr(source, split)[index])
            come = [(tuple(array.shape[1:]), str(array.dtype)) for array in batch]
            require(come == told, f"{split} yields {come}, but {told} is declared.")
            sizes = {len(array) for array in batch}
            require(
                len(sizes) == 1 and 1 <= max(sizes) <= _COMMON["batch_size"],
                f"{split} yields batches of {sizes}; batch_size is "
                f"{_COMMON['batch_size']}.",
            )
            if index > 8:
                break


def _specs(element_spec):
    x, y = element_spec
    return [
        spec
        for part in (x, y)
        for spec in (
            [part[key] for key in sorted(part)] if isinstance(part, dict) else [part]
        )
        if spec is not None
    ]


def orders_by_seed_and_epoch(case):
    """One seed and epoch give one order; another of either gives another."""
    source = _make(case)
    first = _epoch(source, 0)
    _epoch(source, 1)
    require(_equal(first, _epoch(source, 0)), "Epoch 0 differs when it is repeated.")
    require(
        _equal(_epoch(source, 5), _epoch(_make(case), 5)),
        "Two sources with one seed order epoch 5 differently.",
    )
    require(
        not _equal(first, _epoch(source, 1)), "With `shuffle`, epoch 1 is as epoch 0."
    )
    require(
        not _equal(first, _epoch(_make(case, seed=2), 0)),
        "Another seed gives the same order.",
    )
    plain = _make(case, shuffle=False)
    require(
        _equal(_epoch(plain, 0), _epoch(plain, 1)),
        "With `shuffle=False` epoch 1 differs from epoch 0.",
    )


class _AsRow(keras.layers.Layer):
    """One row of floats a sample, whatever comes in."""

    def call(self, inputs):
        return ops.cast(ops.reshape(inputs, (ops.shape(inputs)[0], -1)), "float32")

    def compute_output_spec(self, inputs):
        size = math.prod(inputs.shape[1:])
        return keras.KerasTensor((inputs.shape[0], size), "float32")


def feeds_fit(case):
    """A model fits a batch of it, and the loss is finite."""
    source = _make(case)
    x, y = source.element_spec

    def each(function, specs):
        if isinstance(specs, dict):
            return {name: function(spec) for name, spec in specs.items()}
        return function(specs)

    inputs = each(lambda spec: keras.Input(spec.shape, dtype=spec.dtype), x)
    rows = [_AsRow()(tensor) for tensor in keras.tree.flatten(inputs)]
    row = keras.layers.Concatenate()(rows) if len(rows) > 1 else rows[0]

    def head(spec):
        output = keras.layers.Dense(math.prod(spec.shape))(row)
        return keras.layers.Reshape(spec.shape)(output)

    model = keras.Model(inputs, row if y is None else each(head, y))
    if y is None:
        model.predict(source.train, steps=1, verbose=0)
        return
    model.compile(optimizer=keras.optimizers.SGD(1e-6), loss="mse")
    history = model.fit(source.train, shuffle=False, steps_per_epoch=1, verbose=0)
    loss = history.history["loss"][0]
    require(math.isfinite(loss), f"The loss is {loss} after one batch.")
