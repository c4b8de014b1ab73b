"""Clipping where the loss bends, with constants measured as training goes.

    L_k ~ L0 + L1 n_k       over the last `window` measurements of SmoothnessTrace
    threshold = min(1, 1 / (m L1)) / eta                            m = safety
    eta <= 1 / (m L0)                                               if asked

The fit is of the relative errors u_k = L_k / (L0 + L1 n_k) - 1, with L0, L1 >= 0, and
robust: weights min(1, 1.345 s / |u_k|) with s = 1.4826 median |u_k| (Huber's), found
by re-weighting. Relative, since L and n run over orders of magnitude.

Shapes: numbers. The rule itself is `optimizers.RelaxedSmoothness`. Its `margin` is the
10 of the theorem (Zhang, He, Sra & Jadbabaie 2019, arXiv:1905.11881), for constants
that bound the loss everywhere. The constants here are fitted to the path of training,
so their factor has another name and another default.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_dlparts import backend
from keras_dlparts.callbacks.smoothness_trace import SmoothnessTrace, scatter
from keras_dlparts.data.source import Source
from keras_dlparts.optimizers import Clipped, RelaxedSmoothness
from keras_dlparts.optimizers.wrapping import wrap_of
from keras_dlparts.support.checks import check_count, check_number

CASES = {
    "RelaxedSmoothnessClipping": (
        {
            "arguments": lambda folder: {
                "every": 1,
                "data": (np.ones((8, 3), "float32"), np.ones((8, 1), "float32")),
            },
        },
    )
}

# L0 and L1 are fitted to at least this many measurements.
_FEWEST = 3


def constants(norms, smoothness):
    """L0 and L1 from measurements; from one or two, each as if it were alone.

    A large learning rate can ruin a net within three steps, so the first ones are
    made with care: both constants are then upper bounds.
    """
    if len(norms) >= _FEWEST:
        return fit_constants(norms, smoothness)
    steep = (L / n for n, L in zip(norms, smoothness, strict=True) if n > 0)
    return max(smoothness), max(steep, default=0.0)


def fit_constants(norms, smoothness, rounds=20):
    """L0 and L1 of L ~ L0 + L1 n, robust and not negative.

    Args:
        norms: Array of the n_k.
        smoothness: Array of the L_k, not negative.
        rounds: How often the weights are found anew.
    """
    n, L = (np.asarray(values, "float64") for values in (norms, smoothness))
    if not L.max() > 0:
        return 0.0, 0.0
    tiny = 1e-12 * L.max()
    scale, huber = np.maximum(L, tiny), np.ones_like(L)
    for _ in range(rounds):
        L0, L1 = _least_squares(n, L, huber / scale**2)
        scale = np.maximum(L0 + L1 * n, tiny)
        u = np.abs(L / scale - 1)
        s = 1.4826 * np.median(u)
        huber = 1.345 * s / np.maximum(u, 1.345 * s) if s > 0 else np.ones_like(u)
    return float(L0), float(L1)


def _least_squares(n, L, w):
    """Weighted least squares of L0 + L1 n with both of them not negative."""

    def error(L0, L1):
        return (w * (L - L0 - L1 * n) ** 2).sum()

    flat = (w * L).sum() / w.sum(), 0.0
    steep = 0.0, (w * n * L).sum() / max((w * n * n).sum(), 1e-300)
    best = min(flat, steep, key=lambda pair: error(*pair))
    centre = (w * n).sum() / w.sum()
    spread = (w * (n - centre) ** 2).sum()
    if spread > 1e-12 * (w * n * n).sum():
        L1 = (w * (n - centre) * L).sum() / spread
        both = flat[0] - L1 * centre, L1
        if min(both) >= 0:  # the error is convex, so no constrained pair is better
            best = both
    return best


class RelaxedSmoothnessClipping(SmoothnessTrace):
    """Measures how the loss bends, and sets the clipping threshold by it.

    Works with any optimizer: it makes it a `Clipped` by `RelaxedSmoothness`, if it is
    not one already, and that is what a saved model holds. The threshold moves without
    a new compilation, and follows learning-rate schedules and warm-up. The first
    measurement is made before the first step, along the gradient.

    The logs of each epoch get `gradient_norm`, `smoothness`, `clip_threshold`,
    `clipped_fraction`, `L0` and `L1`; `history` holds each measurement and what was
    made of it.

    Args:
        every: Integer, `>= 1`. Measure each `every` steps, and at the steps 0, 1, 2,
            4, 8, ... before.
        window: Integer, `>= 3`. How many of the last measurements are fitted.
        adapt_learning_rate: Boolean. Also keep the learning rate below
            `1 / (safety L0)`. For optimizers that step by the gradient itself.
        safety: Float, greater than 0. What the fitted L0 and L1 are multiplied by,
            since they are estimates; smaller steps further. docs/clipping.md compares
            1, 3 and 10.
        deltas: Floats greater than 0: where on a step the gradient is compared.
        data: What to measure on: a batch `(x, y)` or `(x, y, sample_weight)`; a
            `tf.data.Dataset`, `DataLoader`, `PyDataset` or other iterable of batches,
            or a function that makes one; a data source; or a split of the run's data
            by name. None for the batch of the step, which `dlparts train` hands over
            and a plain `fit` does not.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    >>> clipping = RelaxedSmoothnessClipping(data=(x, y))
    >>> settings = {"batch_size": 2, "epochs": 2, "verbose": 0}
    >>> fitted = model.fit(x, y, callbacks=[clipping], **settings)
    >>> sorted(fitted.history)  # doctest: +NORMALIZE_WHITESPACE
    ['L0', 'L1', 'clip_threshold', 'clipped_fraction', 'gradient_norm', 'loss',
     'smoothness']
    """

    columns = (
        *SmoothnessTrace.columns,
        *("clip_threshold", "clipped_fraction", "L0", "L1"),
    )

    def __init__(
        self,
        every: int = 50,
        window: int = 100,
        adapt_learning_rate: bool = False,
        safety: float = 3.0,
        deltas: Sequence[float] = (0.5, 1.0),
        data: Source | str | Any | None = None,
    ):
        super().__init__(every, deltas, data)
        if check_count("window", window) < _FEWEST:
            raise ValueError(
                f"`window` must be at least {_FEWEST}, for two constants to be told "
                f"apart. Received: window={window}"
            )
        self.window = window
        self.adapt_learning_rate = adapt_learning_rate
        self.safety = check_number("safety", safety, above=0)
        self._new_rule()

    def _new_rule(self):
        return RelaxedSmoothness(
            adapt_learning_rate=self.adapt_learning_rate, margin=self.safety
        )

    def _forget(self):
        super()._forget()
        self.history |= {"L0": [], "L1": []}

    def set_model(self, model):
        super().set_model(model)
        # Here and not in `on_train_begin`: `fit` has made its train function by then,
        # and that holds the optimizer.
        if getattr(model, "optimizer", None) is not None:
            self.rule = clipped_by(model, self._new_rule)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        backend.build_optimizer(self.model)

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch, logs)
        if self._start is not None and not self.history["step"]:
            self.measure_along_gradient(self.past + batch, self.data_of(batch))

    def note(self, step, gradient_norm, smoothness):
        super().note(step, gradient_norm, smoothness)
        L0, L1 = backend.number(self.rule.L0), backend.number(self.rule.L1)
        norms, bends = (
            self.history[name][-self.window :]
            for name in ("gradient_norm", "smoothness")
        )
        if np.isfinite([*norms, *bends]).all():
            L0, L1 = constants(norms, bends)
            self.rule.L0.assign(L0)
            self.rule.L1.assign(L1)
        self.history["L0"].append(L0)
        self.history["L1"].append(L1)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        for name, value in self.rule.logs().items():
            (logs if logs is not None else {}).setdefault(name, value)

    def figures(self, run):
        """Smoothness against gradient norm with the fitted line, and the constants."""
        found = {}
        if len(self.history["step"]) > 1:
            line = self.history["L0"][-1], self.history["L1"][-1]
            with contextlib.suppress(ImportError):
                found["Smoothness against gradient norm"] = scatter(
                    self.history, line if line[1] >= 0 else None
                )
        return found


def clipped_by(model, make):
    """The RelaxedSmoothness rule of a model's optimizer, put in if it has none."""
    clipped = wrap_of(model, Clipped, lambda o: Clipped(o, by=make()), inside=True)
    if not isinstance(clipped.by, RelaxedSmoothness):
        raise ValueError(
            "RelaxedSmoothnessClipping brings its own clipping rule. Received an "
            f"optimizer that clips by {type(clipped.by).__name__}. Give the bare "
            "optimizer, or one Clipped by RelaxedSmoothness."
        )
    return clipped.by
