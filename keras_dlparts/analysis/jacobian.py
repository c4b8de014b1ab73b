"""The singular values of a model's input-output Jacobian at a sample.

    J_ij = d y_i / d x_j        y all outputs, x the inputs that are floats

Exact where J has few rows or columns: a pass over as many copies of the sample gives
all of it. Else the largest values, by a randomised SVD with two power iterations, and
the mean square of all, |J|_F^2 / min(rows, columns), from |J v|^2 over random v.
Shapes: (values,).
Halko, Martinsson & Tropp 2011, "Finding structure with randomness", arXiv:0909.4061;
Pennington et al. 2017, "Resurrecting the sigmoid in deep learning through dynamical
isometry", arXiv:1711.04735.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend, graphs, surgery
from keras_dlparts.analysis.unchanged import unchanged
from keras_dlparts.support.checks import check_count

# Rows or columns up to which J itself is made.
_EXACT = 1024


@dataclass(frozen=True)
class Jacobian:
    """What `jacobian` finds.

    Args:
        values: Singular values, the largest first: all, or the largest.
        exact: Whether they are all.
        root_mean_square: Of all of them.
        shape: (numbers in the output, numbers in the input).
    """

    values: np.ndarray
    exact: bool
    root_mean_square: float
    shape: tuple


def jacobian(
    model: keras.Model, x: Any, largest: int = 20, calibrate: bool = True, seed: int = 0
) -> Jacobian:
    """The singular values of the Jacobian of a model's output by its input.

    Near 1 in all directions, signals and gradients of every kind pass the net. In
    inference; the model is left exactly as it was.

    Args:
        model: A built `keras.Model`. Where its inputs are integers, the Jacobian is by
            what its first layer with floats makes of them.
        x: Inputs, in a batch. The Jacobian is at the first sample.
        largest: Integer, `>= 1`. How many are found of a large J.
        calibrate: Whether batch normalisations get the statistics of `x` first, for the
            time of this call. Those of a fresh model say nothing of its data.
        seed: Integer, for the random vectors of a large J.

    Returns:
        A `Jacobian`.

    Example:

    >>> dense = keras.layers.Dense(3, kernel_initializer="orthogonal")
    >>> model = keras.Sequential([keras.Input((3,)), dense])
    >>> jacobian(model, np.zeros((1, 3), "float32")).values.round(4)
    array([1., 1., 1.], dtype=float32)
    """
    check_count("largest", largest)
    norms = [
        layer
        for layer in graphs.layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
        and not layer.renorm
    ]
    x = keras.tree.map_structure(ops.convert_to_tensor, x)
    sample = keras.tree.map_structure(lambda a: a[:1], x)
    with unchanged(model):
        if norms and calibrate and len(keras.tree.flatten(x)[0]) > 1:
            surgery.recalibrate(model, [(x,)])
        product = _Products(model, sample)
        rows, columns = product.rows, product.columns
        if min(rows, columns) <= _EXACT:
            matrix = (
                product.rows_of(np.eye(rows))
                if rows <= columns
                else (product.columns_of(np.eye(columns)))
            )
            values = np.linalg.svd(matrix, compute_uv=False)
            mean = float(np.sqrt(np.mean(values.astype("float64") ** 2)))
            return Jacobian(values, True, mean, (rows, columns))
        random = np.random.default_rng(seed)
        found = product.columns_of(random.normal(size=(largest + 10, columns)))
        size = float((found.astype("float64") ** 2).sum(axis=1).mean())
        for _ in range(2):
            base, _ = np.linalg.qr(found.T)
            base, _ = np.linalg.qr(product.rows_of(base.T).T)
            found = product.columns_of(base.T)
        base, _ = np.linalg.qr(found.T)
        values = np.linalg.svd(product.rows_of(base.T), compute_uv=False)[:largest]
    mean = float(np.sqrt(size / min(rows, columns)))
    return Jacobian(values, False, mean, (rows, columns))


class _Products:
    """Products with J for many vectors at once, over copies of the sample."""

    def __init__(self, model, sample):
        self.model, self.sample = model, sample
        flat = keras.tree.flatten(sample)
        kinds = [keras.backend.standardize_dtype(a.dtype) for a in flat]
        self.floats = [i for i, kind in enumerate(kinds) if "float" in kind]
        if not self.floats:
            raise ValueError(
                "A Jacobian is by inputs of floats. Received: inputs of dtype "
                f"{', '.join(kinds)}; give the model that begins behind the embedding"
            )
        self.inputs = [flat[i] for i in self.floats]
        self.outputs = [ops.convert_to_tensor(y) for y in self._call(1)(*self.inputs)]
        self.columns = sum(int(np.prod(a.shape[1:])) for a in self.inputs)
        self.rows = sum(int(np.prod(a.shape[1:])) for a in self.outputs)

    def _call(self, copies):
        def function(*inputs):
            flat = [
                ops.repeat(a, copies, axis=0) for a in keras.tree.flatten(self.sample)
            ]
            for i, a in zip(self.floats, inputs, strict=True):
                flat[i] = a
            x = keras.tree.pack_sequence_as(self.sample, flat)
            return keras.tree.flatten(self.model(x, training=False))

        return function

    def _split(self, vectors, like):
        """Rows of numbers as one array for each tensor."""
        sizes = [int(np.prod(a.shape[1:])) for a in like]
        parts = np.split(vectors, np.cumsum(sizes)[:-1], axis=1)
        return [
            ops.convert_to_tensor(
                part.reshape(-1, *a.shape[1:]), keras.backend.standardize_dtype(a.dtype)
            )
            for part, a in zip(parts, like, strict=True)
        ]

    def _joined(self, parts):
        # Linear algebra needs float32 at least.
        parts = [ops.convert_to_numpy(backend.at_least_float32(p)) for p in parts]
        return np.concatenate([p.reshape(len(p), -1) for p in parts], axis=1)

    def _in_pieces(self, vectors, product):
        # As many copies at a time as 128, for the memory that a pass takes.
        pieces = [vectors[i : i + 128] for i in range(0, len(vectors), 128)]
        return np.concatenate([product(piece) for piece in pieces])

    def rows_of(self, vectors):
        """u J for each row u."""

        def product(u):
            copies = [ops.repeat(a, len(u), axis=0) for a in self.inputs]
            _, pull = backend.pullback(self._call(len(u)), copies)
            return self._joined(pull(self._split(u, self.outputs)))

        return self._in_pieces(vectors, product)

    def columns_of(self, vectors):
        """J v for each row v."""

        def product(v):
            copies = [ops.repeat(a, len(v), axis=0) for a in self.inputs]
            found = backend.pushforward(
                self._call(len(v)), copies, self._split(v, self.inputs)
            )
            return self._joined(found)

        return self._in_pieces(vectors, product)
