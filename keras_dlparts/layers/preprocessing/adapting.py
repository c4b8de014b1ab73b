"""What the layers share that learn statistics of data before training.

    n, mu, S = sample count, mean and sum of squares (or of products) about the mean
    two parts: d = mu_b - mu_a,  mu = mu_a + d n_b / n,  S = S_a + S_b + d^2 n_a n_b / n

All of it in float64 and on differences to the first sample, so that a constant
feature has a variance of exactly 0 and a large mean costs no digits.
Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance".
"""

import abc
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend

# How many rows of an array are turned into float64 at once.
_CHUNK = 8192


def batches(data):
    """The inputs of `data` as numpy arrays of float64, part by part.

    `data` is what `keras.layers.Normalization.adapt` takes: an array or tensor, a
    `tf.data.Dataset` or a `keras.utils.PyDataset` of batches, an iterable of
    batches. Of a batch `(x, y, ...)` it is x.
    """
    if isinstance(data, keras.utils.PyDataset):
        parts = (data[i] for i in range(data.num_batches))
    elif hasattr(data, "as_numpy_iterator"):
        parts = data.as_numpy_iterator()
    elif hasattr(data, "shape"):
        parts = (data[i : i + _CHUNK] for i in range(0, data.shape[0], _CHUNK))
    elif hasattr(data, "__iter__") and not isinstance(data, str | dict):
        parts = iter(data)
    else:
        raise TypeError(
            "`adapt` takes an array, a tf.data.Dataset, a PyDataset or an iterable of "
            f"batches. Received: {type(data).__name__}"
        )
    for part in parts:
        x = part[0] if isinstance(part, tuple) else part
        if not hasattr(x, "shape") or not len(x.shape):
            raise TypeError(
                "`adapt` needs batches of arrays or tensors. Received: a batch of "
                f"{type(x).__name__}. Pass one of several inputs by itself"
            )
        yield np.asarray(ops.convert_to_numpy(x), "float64")


class Moments:
    """Mean and (co)variance of rows that come part by part.

    >>> moments = Moments()
    >>> moments.add(np.array([[1.0], [3.0]]))
    >>> moments.add(np.array([[5.0]]))
    >>> moments.mean, moments.variance
    (array([3.]), array([2.66666667]))
    """

    def __init__(self, covariance=False):
        self._covariance = covariance
        self._count = 0

    def add(self, rows):
        if not self._count:
            self._origin = rows[0]
            self._mean = np.zeros(rows.shape[1])
            self._squares = self._product(self._mean) * 0
        rows = rows - self._origin
        n, mean = len(rows), rows.mean(axis=0)
        # A mean of zeros is exactly zero, so a constant feature adds nothing here.
        centred = rows - mean
        squares = centred.T @ centred if self._covariance else (centred**2).sum(axis=0)
        d, total = mean - self._mean, self._count + n
        self._mean = self._mean + d * (n / total)
        self._squares += squares + self._product(d) * (self._count * n / total)
        self._count = total

    def _product(self, d):
        return np.outer(d, d) if self._covariance else d**2

    @property
    def mean(self):
        return self._origin + self._mean

    @property
    def variance(self):
        """The variances, or the covariance matrix; divided by n."""
        return self._squares / self._count


class AdaptingLayer(keras.layers.Layer, abc.ABC):
    """Abstract: a layer whose weights `adapt(data)` computes from data.

    A subclass adds its weights in `_add_statistics` by `_statistic`, computes them
    in `_learn` and uses them in `_transform`. Before `adapt` a layer works with the
    weights it starts with, as `keras.layers.Normalization` does: a model can be
    built, drawn and saved before there is data.
    """

    def __init__(self, axis: int | list[int] | tuple[int, ...] | None = -1, **kwargs):
        super().__init__(**kwargs)
        axes = () if axis is None else (axis,) if isinstance(axis, int) else axis
        if (
            not isinstance(axes, list | tuple)
            or any(isinstance(a, bool) or not isinstance(a, int) for a in axes)
            or 0 in axes
        ):
            raise ValueError(
                "`axis` must be an axis of the features, several, or None; axis 0 "
                f"counts the samples. Received: axis={axis!r}"
            )
        self.axis = list(axes) if isinstance(axis, list | tuple) else axis
        self._axes = tuple(axes)
        self.supports_masking = True
        # Data may be large numbers: whatever the policy, they are shifted and scaled
        # in float32 at least, and only the result is cast.
        self.autocast = False
        self._precision = backend.wide_dtype(self.variable_dtype)

    def build(self, input_shape):
        rank = len(input_shape)
        kept = sorted({a + rank if a < 0 else a for a in self._axes})
        if any(not 0 < a < rank for a in kept) or len(kept) != len(self._axes):
            raise ValueError(
                f"`axis` must name different axes from 1 to {rank - 1} of an input of "
                f"rank {rank}. Received: axis={self.axis!r}"
            )
        if any(input_shape[a] is None for a in kept):
            raise ValueError(
                f"Axes with statistics of their own must have a known size. "
                f"Received: axis={self.axis!r}, input shape {tuple(input_shape)}"
            )
        self._kept = kept
        self._sizes = [input_shape[a] for a in kept]
        # Where the statistics stand in an input: their size on the kept axes.
        self._shape = [input_shape[a] if a in kept else 1 for a in range(rank)]
        self._add_statistics(math.prod(self._sizes))

    def adapt(self, data: Any):
        """Compute the statistics of `data` anew; those from before are dropped.

        Args:
            data: An array or tensor, a `tf.data.Dataset` or a
                `keras.utils.PyDataset` of batches (inputs, or tuples that begin
                with them), or an iterable of batches.
        """
        self._learn(self._rows(data))

    def _rows(self, data):
        """The data as arrays (samples, features), checked."""
        empty = True
        for x in batches(data):
            if not self.built:
                self.build((None, *x.shape[1:]))
            if (
                x.ndim != len(self._shape)
                or [x.shape[a] for a in self._kept] != self._sizes
            ):
                raise ValueError(
                    f"{self.name}: data must have the sizes {self._sizes} on the axes "
                    f"{self._kept} and the rank {len(self._shape)}. "
                    f"Received: shape {x.shape}"
                )
            if not np.isfinite(x).all():
                raise ValueError(
                    f"{self.name}: data must be finite. Received: nan or infinity. "
                    "Fill in or drop such samples"
                )
            rows = np.moveaxis(x, self._kept, range(-len(self._kept), 0))
            rows = rows.reshape(-1, math.prod(self._sizes))
            if len(rows):
                empty = False
                yield rows
        if empty:
            raise ValueError(
                f"{self.name}: `adapt` needs at least one sample. Received: none"
            )

    @abc.abstractmethod
    def _add_statistics(self, features):
        """Add the weights, for so many features."""

    @abc.abstractmethod
    def _learn(self, parts):
        """Assign the weights from an iterable of arrays (samples, features)."""

    @abc.abstractmethod
    def _transform(self, x):
        """The output, of the input's float32 (or float64)."""

    def _statistic(self, name, shape, initializer):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            dtype=self._precision,
            trainable=False,
            autocast=False,
        )

    def _place(self, statistic):
        """A statistic of shape (features,), shaped to broadcast with an input."""
        return ops.reshape(statistic, self._shape)

    def call(self, inputs):
        y = self._transform(ops.cast(inputs, self._precision))
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}
