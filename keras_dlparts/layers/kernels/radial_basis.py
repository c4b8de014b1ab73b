"""Radial basis functions: how near an input is to each of some templates.

    q_u = sum_d ((x_d - c_ud) / s_ud)^2          c: centers, s = exp(log_width) > 0
    y_u = phi(q_u)

    phi(q) = exp(-q / 2)           gaussian
           = exp(-sqrt(q))         laplacian
           = 1 / sqrt(1 + q)       inverse_multiquadric
           = sqrt(1 + q)           multiquadric, which grows
           = q log(q) / 2          thin_plate, r^2 log r with r^2 = q, which grows

Shapes: x (..., features) -> y (..., units). Training and inference are the same. A
Dense layer behind it is the linear combination of the templates.

Distances are products of matrices, x c, about the mean of the centers m,

    q = |x'|^2 - 2 x' c' + |c'|^2,   x' = (x - m) / s,   c' = (c - m) / s

with all digits of float32 under any policy and on accelerators that would round to
TF32, and at least 0. So data far from the origin costs no digits; the error of q is
about 1e-7 times |x'|^2 + |c'|^2.
Broomhead & Lowe 1988, "Multivariable functional interpolation and adaptive networks";
Moody & Darken 1989, "Fast learning in networks of locally-tuned processing units".
"""

import math
import random
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.kernels.centers import chosen, k_means, widths
from keras_dlparts.layers.preprocessing.adapting import batches
from keras_dlparts.support.checks import (
    check_count,
    check_flag,
    check_number,
    check_word,
)

CASES = {
    "RadialBasis": (
        {
            "arguments": lambda folder: {
                "units": 3,
                "width": "unit_and_dimension",
                "centers": keras.initializers.RandomNormal(seed=1),
            },
            "input_shape": (4, 5),
        },
    )
}
# Which widths there are: (one a unit, one a dimension).
WIDTHS = {
    "shared": (False, False),
    "unit": (True, False),
    "dimension": (False, True),
    "unit_and_dimension": (True, True),
}


def squared_distances(x, c, s):
    """q of each row and center, shape (..., units), of float32.

    Args:
        x: shape (..., features).
        c: centers, shape (units, features).
        s: widths, shape (units or 1, features or 1).
    """
    m = ops.stop_gradient(ops.mean(c, axis=0))
    x, c = x - m, c - m
    w = 1 / ops.square(s)
    if s.shape[1] == 1:
        xx = ops.sum(ops.square(x), axis=-1, keepdims=True) * w[:, 0]
    else:
        xx = backend.accurate_matmul(ops.square(x), ops.transpose(w))
    xc = backend.accurate_matmul(x, ops.transpose(w * c))
    return ops.maximum(xx - 2 * xc + ops.sum(w * ops.square(c), axis=-1), 0.0)


def _thin_plate(q):
    return q * ops.log(ops.where(q > 0, q, 1.0)) / 2


# phi by name.
KERNELS = {
    "gaussian": lambda q: ops.exp(-q / 2),
    "laplacian": lambda q: ops.exp(-backend.root(q)),
    "inverse_multiquadric": lambda q: ops.rsqrt(1 + q),
    "multiquadric": lambda q: ops.sqrt(1 + q),
    "thin_plate": _thin_plate,
}


@keras.saving.register_keras_serializable("dlparts")
class RadialBasis(keras.layers.Layer):
    """Units that answer to what is near their centers, wherever the data has put them.

    `adapt(data)` puts the centers among the data and chooses the widths; a run of
    `dlparts train` does it by itself, elsewhere call it before `fit`. Then both are
    learnt with the rest of the net, unless told otherwise. Features of very different
    sizes want a `Normalization` before, or a width for each dimension.

    Args:
        units: Integer, `>= 1`. The number of centers.
        kernel: `"gaussian"`, `"laplacian"`, `"inverse_multiquadric"`, `"multiquadric"`
            or `"thin_plate"`: the function of the distance.
        width: `"shared"` for one width, `"unit"` for one a unit, `"dimension"` for one
            a feature, or `"unit_and_dimension"` for one a feature of each unit.
        centers: Where the centers start: `"data"` for different rows of the data,
            drawn at random; `"kmeans"` for the means that scikit-learn's k-means finds
            in it; or an initializer, with which nothing adapts.
        initial_width: Float greater than 0, in units of the input. None: the mean
            distance of a center to the two nearest others, for `"unit"` widths that of
            each; with an initializer for the centers sqrt(features).
        learn_centers: Whether the centers are trained.
        learn_width: Whether the widths are trained. They are kept as logarithms, so
            they stay positive.
        seed: Optional integer, for the same choice of centers each time.

    Call arguments:
        inputs: Tensor of shape `(..., features)`.

    Output shape: `(..., units)`. Masks pass.

    Example:

    >>> x = np.array([[0.0, 0.0], [0.0, 2.0], [6.0, 0.0]])
    >>> layer = RadialBasis(3, initial_width=2.0, seed=0)
    >>> layer.adapt(x)
    >>> keras.ops.convert_to_numpy(layer(x)).max(axis=1).tolist()  # each is a center
    [1.0, 1.0, 1.0]

    Reference: Moody & Darken 1989, https://doi.org/10.1162/neco.1989.1.2.281
    """

    def __init__(
        self,
        units: int,
        kernel: Literal[
            "gaussian",
            "laplacian",
            "inverse_multiquadric",
            "multiquadric",
            "thin_plate",
        ] = "gaussian",
        width: Literal["shared", "unit", "dimension", "unit_and_dimension"] = "shared",
        centers: Literal["data", "kmeans"] | keras.initializers.Initializer = "data",
        initial_width: float | None = None,
        learn_centers: bool = True,
        learn_width: bool = True,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("units", units)
        check_word("kernel", kernel, KERNELS)
        check_word("width", width, WIDTHS)
        if initial_width is not None:
            check_number("initial_width", initial_width, above=0)
        check_flag("learn_centers", learn_centers)
        check_flag("learn_width", learn_width)
        if centers not in ("data", "kmeans"):
            centers = _initializer(centers)
        self.units = units
        self.kernel = kernel
        self.width = width
        self.centers_from = centers
        self.initial_width = initial_width
        self.learn_centers = learn_centers
        self.learn_width = learn_width
        self.seed = seed
        # Whether a run of a config lets it adapt.
        self.data_init = isinstance(centers, str)
        self._waits_for_data = self.data_init
        self.supports_masking = True
        # Whatever the policy, distances are computed in float32 at least.
        self.autocast = False
        self._precision = backend.wide_dtype(self.variable_dtype)

    def build(self, input_shape):
        features = input_shape[-1]
        if features is None or len(input_shape) < 2:
            raise ValueError(
                f"{self.name} needs inputs (..., features) of a known number of "
                f"features. Received: shape {tuple(input_shape)}"
            )
        start = keras.initializers.Constant(math.nan)  # until there is data
        self.centers = self.add_weight(
            (self.units, features),
            start if self.data_init else self.centers_from,
            trainable=self.learn_centers,
            dtype=self._precision,
            autocast=False,
            name="centers",
        )
        by_unit, by_dimension = WIDTHS[self.width]
        width = self.initial_width or math.sqrt(features)
        self.log_width = self.add_weight(
            (self.units if by_unit else 1, features if by_dimension else 1),
            keras.initializers.Constant(math.log(width)),
            trainable=self.learn_width,
            dtype=self._precision,
            autocast=False,
            name="log_width",
        )

    def adapt(self, data: Any):
        """Put the centers among the data, and choose the widths unless they are given.

        Nothing happens where an initializer is given for the centers.

        Args:
            data: Inputs of this layer: an array or tensor, a `tf.data.Dataset` or a
                `keras.utils.PyDataset` of batches, or an iterable of batches.
        """
        if not self.data_init:
            return
        rows = self._rows(data)
        seed = random.randrange(2**31) if self.seed is None else self.seed
        choose = k_means if self.centers_from == "kmeans" else chosen
        centers = choose(rows, self.units, seed)
        if not self.built:
            self.build((None, rows.shape[1]))
        self.centers.assign(centers)
        self._waits_for_data = False
        if self.initial_width is None:
            by_unit, _ = WIDTHS[self.width]
            each = widths(centers, rows)
            log_width = np.log(each if by_unit else each.mean(keepdims=True))
            shape = self.log_width.shape
            self.log_width.assign(np.broadcast_to(log_width[:, None], shape))

    def _rows(self, data):
        """The data as one array (rows, features), checked."""
        parts = [np.asarray(x, self._precision) for x in batches(data)]
        parts = [x.reshape(-1, x.shape[-1]) for x in parts]
        rows = np.concatenate(parts) if parts else np.zeros((0, 1))
        features = self.centers.shape[1] if self.built else rows.shape[1]
        if len(rows) and rows.shape[1] != features:
            raise ValueError(
                f"{self.name}: data must have {features} features. "
                f"Received: {rows.shape[1]}"
            )
        if not np.isfinite(rows).all():
            raise ValueError(
                f"{self.name}: data must be finite. Received: nan or infinity. "
                "Fill in or drop such samples"
            )
        return rows

    def load_own_variables(self, store):
        super().load_own_variables(store)
        # It may have been saved before there was data.
        centers = ops.convert_to_numpy(self.centers)
        self._waits_for_data = self.data_init and _has_no_values(centers)

    def call(self, inputs, training=False):
        self._check_adapted(training)
        q = squared_distances(
            ops.cast(inputs, self._precision),
            ops.convert_to_tensor(self.centers),
            ops.exp(ops.convert_to_tensor(self.log_width)),
        )
        return ops.cast(KERNELS[self.kernel](q), self.compute_dtype)

    def _check_adapted(self, training):
        """Raise where the centers have no values yet.

        They may have been given by `set_weights`. JAX' `fit` shows them in inference,
        with which it begins, and hides them where it traces its step. In inference that
        JAX traces nothing raises, for they may come from elsewhere, and the result is
        NaN if there are none.
        """
        if not self._waits_for_data:
            return
        centers = backend.variable_value(self.centers)
        if centers is None or _has_no_values(centers):
            if not training and not backend.on_host():
                return
            raise ValueError(
                f"{self.name}: the centers come from data. Received: inputs before "
                "`adapt`. Call `adapt(data)` with the training data first, load "
                "weights, or give `centers` an initializer"
            )
        self._waits_for_data = False

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def compute_output_spec(self, inputs, training=False):
        # A model may be built before there is data.
        shape = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        centers = self.centers_from
        if not isinstance(centers, str):
            centers = keras.initializers.serialize(centers)
        return {
            **super().get_config(),
            "units": self.units,
            "kernel": self.kernel,
            "width": self.width,
            "centers": centers,
            "initial_width": self.initial_width,
            "learn_centers": self.learn_centers,
            "learn_width": self.learn_width,
            "seed": self.seed,
        }


def _has_no_values(centers):
    """Whether centers are still what they are before there is data."""
    return bool(np.isnan(centers).any())


def _initializer(centers):
    """The initializer of that name, config or object."""
    try:
        found = keras.initializers.get(centers)
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise ValueError(
            "`centers` must be 'data', 'kmeans' or an initializer. "
            f"Received: centers={centers!r}"
        )
    return found
