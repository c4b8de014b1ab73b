"""Whitening: features without correlation, each of variance one.

    mu = mean x,  C = mean (x - mu)(x - mu)^T = U diag(lambda) U^T
    y  = (x - mu) U diag(lambda + epsilon)^(-1/2)           kind="pca"
    y  = (x - mu) U diag(lambda + epsilon)^(-1/2) U^T       kind="zca"
    x  = mu + y (that matrix)^(-1)                          with invert=True

PCA turns the data onto its principal axes, largest variance first; ZCA turns it
back, and is the whitening that changes x least. Directions without variance stay
0: epsilon keeps the division finite, and damps directions with little variance.
C is divided by n (as the variance of `keras.layers.Normalization` is), computed
in float64 over all the data `adapt` sees.

Shapes: x (batch, ...) -> y (batch, ...). The kept axes together are the vector
that is whitened; other axes count as samples. The same in training and inference.
Bell & Sejnowski 1997, "The independent components of natural scenes are edge
filters"; Krizhevsky 2009, "Learning multiple layers of features", appendix A.
"""

from typing import Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts.layers.preprocessing.adapting import AdaptingLayer, Moments
from keras_dlparts.support.checks import check_number

CASES = {
    "Whitening": (
        {"arguments": {}, "input_shape": (4, 8)},
        {
            "arguments": {"kind": "zca", "epsilon": 0.1, "axis": (1, 3)},
            "input_shape": (2, 3, 4, 5),
        },
        {"arguments": {"invert": True}, "input_shape": (4, 6)},
    )
}


def whitening_matrix(covariance, kind, epsilon, invert=False):
    """The matrix W of y = (x - mu) W, or its inverse, by numpy."""
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
    # A direction's sign is arbitrary; its largest element is made positive.
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, range(len(largest))])
    scale = np.sqrt(variances + epsilon)
    if kind == "zca":
        return directions * (scale if invert else 1 / scale) @ directions.T
    return scale[:, None] * directions.T if invert else directions / scale


@keras.saving.register_keras_serializable("dlparts")
class Whitening(AdaptingLayer):
    """Decorrelates features and scales them to variance one, as `adapt` saw them.

    Before `adapt` the layer passes its input on.

    Args:
        kind: `"pca"` for principal components, `"zca"` to stay near the input.
        epsilon: Float, `> 0`, in units of the data's variance. Added to the
            variance of each direction before its root is divided by.
        axis: Integer or several: the axes that make up the vector to whiten.
        invert: Whether to map whitened data back.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`.

    Output shape: that of the input. Masks pass.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(500, 2)) @ [[3, 1], [0, 1]]
    >>> layer = Whitening("zca", epsilon=1e-6)
    >>> layer.adapt(x)
    >>> np.cov(np.asarray(layer(x)).T, bias=True).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Reference: Krizhevsky 2009, "Learning multiple layers of features from tiny
    images", appendix A.
    """

    def __init__(
        self,
        kind: Literal["pca", "zca"] = "pca",
        epsilon: float = 1e-5,
        axis: int | list[int] | tuple[int, ...] = -1,
        invert: bool = False,
        **kwargs,
    ):
        super().__init__(axis=axis, **kwargs)
        if kind not in ("pca", "zca"):
            raise ValueError(f"`kind` must be 'pca' or 'zca'. Received: kind={kind!r}")
        # A direction without variance is divided by its root.
        check_number("epsilon", epsilon, above=0)
        if not self._axes:
            raise ValueError(
                "`axis` must name at least one axis: one number has no correlation. "
                f"Received: axis={axis!r}"
            )
        if not isinstance(invert, bool):
            raise TypeError(
                f"`invert` must be True or False. Received: invert={invert!r}"
            )
        self.kind = kind
        self.epsilon = epsilon
        self.invert = invert

    def _add_statistics(self, features):
        self.mean = self._statistic("mean", (features,), "zeros")
        self.matrix = self._statistic("matrix", (features, features), "identity")

    def _learn(self, parts):
        moments = Moments(covariance=True)
        for rows in parts:
            moments.add(rows)
        self.mean.assign(moments.mean)
        self.matrix.assign(
            whitening_matrix(moments.variance, self.kind, self.epsilon, self.invert)
        )

    def _transform(self, x):
        mean = self._place(self.mean)
        if not self.invert:
            x = x - mean
        # Counted from the front: ONNX has no negative axes to move.
        rank = len(x.shape)
        kept = [axis % rank for axis in self._kept]
        last = [*range(rank - len(kept), rank)]
        moved = ops.moveaxis(x, kept, last)
        rows = ops.reshape(moved, (-1, self.matrix.shape[0]))
        y = ops.reshape(ops.matmul(rows, self.matrix), ops.shape(moved))
        y = ops.moveaxis(y, last, kept)
        return y + mean if self.invert else y

    def get_config(self):
        return {
            **super().get_config(),
            "kind": self.kind,
            "epsilon": self.epsilon,
            "invert": self.invert,
        }
