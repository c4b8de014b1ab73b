"""The smoothness of the loss along the path of training.

    d   = x_{k+1} - x_k                        the step that was taken
    n_k = || g(x_k) ||
    L_k = max_delta || g(x_k + delta d) - g(x_k) || / (delta ||d||)

g is the gradient of the training loss, every time on the same batch and with the same
random draws. L_k bounds the curvature along d from below. Where log L_k rises with
log n_k the loss is not L-smooth but (L0, L1)-smooth, and clipping helps.

Shapes: x, d and g are lists of arrays, as the weights; n_k and L_k are numbers.
Zhang, He, Sra & Jadbabaie 2019, "Why gradient clipping accelerates training",
arXiv:1905.11881; their published code uses delta = 1/2 only.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.callbacks.measuring import Measuring
from keras_dlparts.data.source import Source

CASES = {
    "SmoothnessTrace": (
        {
            "arguments": lambda folder: {
                "every": 1,
                "data": (np.ones((8, 3), "float32"), np.ones((8, 1), "float32")),
            },
        },
    )
}

# The least length of a step, as a share of the weights' norm: along a shorter one the
# change of the gradient would be lost in float32's rounding.
_SHORTEST = 1e-4


def local_smoothness(gradient, start, end, deltas):
    """The norm of the gradient at `start`, and the smoothness from there to `end`.

    Args:
        gradient: Function from a list of arrays to the list of their gradients.
        start: List of arrays, x_k.
        end: List of arrays, x_{k+1}. A step shorter than 1e-4 of the weights is
            stretched to that.
        deltas: Where on the step to look.

    Returns: n_k and L_k. L_k is None if nothing moved.
    """
    first = gradient(start)
    step = [b - a for a, b in zip(start, end, strict=True)]
    length = norm(step)
    if not length > 0:
        return norm(first), None
    stretch = max(1.0, _SHORTEST * norm(start) / length)
    found = []
    for delta in deltas:
        scale = np.float32(delta * stretch)
        there = gradient([a + scale * d for a, d in zip(start, step, strict=True)])
        change = norm([b - a for a, b in zip(first, there, strict=True)])
        found.append(change / (float(scale) * length))
    return norm(first), max(found)


def norm(arrays):
    """The Euclidean norm over a list of arrays."""
    return float(np.sqrt(sum(float(np.vdot(a, a)) for a in arrays)))


class SmoothnessTrace(Measuring):
    """Notes how the loss bends along the steps that training takes.

    A measurement costs a gradient and one more for each delta, and the first one
    compiles it. It is made at the steps 0, 1, 2, 4, 8, ... and then each `every`. The
    training itself stays as it is, random draws and moving averages included. Where
    `steps_per_execution` is above 1, the step measured is that of a whole call, from
    the weights and on the batch of its first step.

    The notes are in `history`: lists `step`, `gradient_norm` and `smoothness`; a run of
    `dlparts train` has them as `smoothness.csv`. The logs of each epoch get the means
    over its measurements.

    Args:
        every: Integer, `>= 1`. Measure each `every` steps.
        deltas: Floats greater than 0: where on the step the gradient is compared.
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
    >>> trace = SmoothnessTrace(data=(x, y))
    >>> _ = model.fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=[trace])
    >>> trace.history["step"]
    [0, 1, 2, 4]
    >>> round(trace.history["smoothness"][0], 2)  # 2 (x'x + 1) for a linear model
    8.0
    """

    columns = ("gradient_norm", "smoothness")

    def __init__(
        self,
        every: int = 50,
        deltas: Sequence[float] = (0.5, 1.0),
        data: Source | str | Any | None = None,
    ):
        super().__init__(every, data)
        self.deltas = [*deltas] if isinstance(deltas, tuple | list) else []
        if not self.deltas or not all(
            isinstance(d, int | float) and d > 0 for d in self.deltas
        ):
            raise ValueError(
                "`deltas` must be numbers greater than 0, at least one. "
                f"Received: deltas={deltas!r}"
            )
        self._forget()

    def _forget(self):
        self.history = {"step": [], "gradient_norm": [], "smoothness": []}
        self.noted = 0  # measurements before this epoch
        self._start = None  # the batch that is measured, and the weights before it

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._forget()
        self._gradient = backend.gradient_function(self.model)

    def following(self, step):
        return min(2 * step, step + self.every) if step else 1

    def on_train_batch_begin(self, batch, logs=None):
        if self.due(batch):
            with backend.unmoved(self.model):  # brings JAX' variables up to date
                self._start = batch, self._weights()

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if self._start is None:
            return
        # A call of the training function may take several steps: `batch` is the last.
        (first, start), self._start = self._start, None
        with backend.unmoved(self.model):
            end = self._weights()
            self._measure(self.past + first, start, end, self.data_of(first))
            self._put(end)

    def measure_along_gradient(self, step, data):
        """Measure where the weights are, on a short step against the gradient."""
        with backend.unmoved(self.model):
            start = self._weights()
            downhill = self._gradient_at(start, data)
            short = _SHORTEST * norm(start) / max(norm(downhill), 1e-30)
            end = [a - np.float32(short) * g for a, g in zip(start, downhill, strict=1)]
            self._measure(step, start, end, data)
            self._put(start)

    def _measure(self, step, start, end, data):
        size, smoothness = local_smoothness(
            lambda at: self._gradient_at(at, data), start, end, self.deltas
        )
        if smoothness is not None:
            self.note(step, size, smoothness)

    def note(self, step, gradient_norm, smoothness):
        """Take a measurement down."""
        self.history["step"].append(step)
        self.history["gradient_norm"].append(gradient_norm)
        self.history["smoothness"].append(smoothness)

    def _weights(self):
        return [v.numpy().copy() for v in self.model.trainable_variables]

    def _put(self, values):
        backend.assign(self.model.trainable_variables, values)

    def _gradient_at(self, values, data):
        self._put(values)
        with backend.unmoved(self.model):  # so that every pass draws the same
            _, gradients = self._gradient(*data)
        return [
            np.zeros_like(value) if g is None else ops.convert_to_numpy(g)
            for g, value in zip(gradients, values, strict=True)
        ]

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        for name in ("gradient_norm", "smoothness"):
            values = self.history[name][self.noted :] or self.history[name][-1:]
            if values and logs is not None:
                logs[name] = float(np.mean(values))
        self.noted = len(self.history["step"])

    def measurements(self):
        """A row a measurement, which `dlparts train` writes as smoothness.csv."""
        return {"smoothness": self.history}

    def figures(self, run):
        """Smoothness against gradient norm, and how the two are correlated."""
        found = {}
        if len(self.history["step"]) > 1:
            with contextlib.suppress(ImportError):
                found["Smoothness against gradient norm"] = scatter(self.history)
        return found


def correlation(history):
    """Of log smoothness with log gradient norm; None where one does not vary."""
    both = np.array([history["gradient_norm"], history["smoothness"]], "float64")
    both = np.log(both[:, (both > 0).all(axis=0)])
    if both.shape[1] < 2 or not both.std(axis=1).min() > 0:
        return None
    return float(np.corrcoef(both)[0, 1])


def scatter(history, line=None):
    """A Figure of the measurements; `line` is (L0, L1) of a fit to draw, if any."""
    from matplotlib.figure import Figure

    norms, bends = (
        np.array(history[name], "float64") for name in ("gradient_norm", "smoothness")
    )
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    points = axes.scatter(norms, bends, c=history["step"], cmap="viridis", s=18)
    axes.set_xscale("log")
    axes.set_yscale("log")
    if line is not None:
        x = np.geomspace(max(norms.min(), 1e-12), max(norms.max(), 1e-12), 100)
        L0, L1 = line
        axes.plot(x, L0 + L1 * x, color="black", lw=1, label=f"{L0:.3g} + {L1:.3g} n")
        axes.legend(frameon=False)
    axes.set_xlabel("gradient norm n")
    axes.set_ylabel("local smoothness L")
    r = correlation(history)
    if r is not None:
        axes.set_title(f"correlation of the logarithms {r:.2f}", fontsize=10)
    figure.colorbar(points, ax=axes, label="step")
    return figure
