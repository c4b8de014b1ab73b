"""The loss around a model's weights, along random directions of the right length.

    f(a)    = L(w + a d)               one direction
    f(a, b) = L(w + a d + b e)         two
    d_f <- d_f |w_f| / |d_f|           filter by filter, d ~ N(0, 1) at first

A filter f is what makes one output: a neuron's incoming weights, one channel of a
convolution, or one feature of one head of an attention layer. Without this, a net whose
weights are large (and that batch normalisation scales back) looks flat, for the same
step is small to it. Biases and gains stay where they are: weights of one dimension,
those that Keras names so, and the lengths of WeightNormalization. L is the loss in
inference, over all the data.

Shapes: d as the weights; a, b one-dimensional grids from -span to span.
Li et al. 2018, "Visualizing the loss landscape of neural nets", arXiv:1712.09913.
"""

import dataclasses
import os
from typing import Any, Literal

import keras
import numpy as np

from keras_dlparts import graphs
from keras_dlparts.analysis.unchanged import check_compiled, in_batches, unchanged
from keras_dlparts.backend import keras_private
from keras_dlparts.layers.normalization.weight_normalization import (
    WeightNormalization,
)
from keras_dlparts.support.output_axes import output_axes
from keras_dlparts.support.progress import tracked

# Biases and gains by the names that Keras gives them: some have two dimensions.
_STAY = ("bias", "beta", "gamma")


def filter_normalized(
    direction: np.ndarray, weight: np.ndarray, axes: tuple[int, ...] | None
) -> np.ndarray:
    """Give each filter of a direction the length of the weight's, over `axes`.

    Weights of one dimension stay, so their direction is zero, as it is where `axes` is
    None.
    """
    if axes is None or weight.ndim < 2:
        return np.zeros_like(weight)
    length = np.sqrt((weight**2).sum(axis=axes, keepdims=True))
    own = np.sqrt((direction**2).sum(axis=axes, keepdims=True))
    return direction * length / np.maximum(own, 1e-12)


def filter_axes(model):
    """The axes over which a filter extends, for each trainable variable; None for
    biases and gains."""
    found = {}
    for layer in graphs.layers(model):
        lengths = layer.notes() if isinstance(layer, WeightNormalization) else ()
        for variable in keras_private.own_trainable_variables(layer):
            if variable.name in _STAY or any(variable is g for g in lengths):
                found[id(variable)] = None
                continue
            outputs = output_axes(layer, variable)
            if isinstance(layer, keras.layers.Embedding):
                outputs = (0,)  # a row is what one input makes
            found[id(variable)] = tuple(
                axis for axis in range(len(variable.shape)) if axis not in outputs
            )
    return [
        found.get(id(v), tuple(range(len(v.shape) - 1)))
        for v in model.trainable_variables
    ]


@dataclasses.dataclass(frozen=True)
class Landscape:
    """What `loss_landscape` measured.

    Args:
        grid: Array of shape `(points,)`: the places along each direction.
        values: Dict of arrays, `"loss"` and the model's metrics: of shape `(points,)`,
            or `(points, points)` with the first direction first.
    """

    grid: np.ndarray
    values: dict

    @property
    def loss(self):
        return self.values["loss"]

    def save(self, path: str | os.PathLike):
        """Write grid and values to an `.npz` file."""
        np.savez(
            path, grid=self.grid, **{f"value_{k}": v for k, v in self.values.items()}
        )

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Landscape":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            values = {
                name.removeprefix("value_"): file[name]
                for name in file.files
                if name != "grid"
            }
            return cls(file["grid"], values)

    def figure(self, name: str = "loss", log: bool = True):
        """A matplotlib Figure: a curve, or contours with the model in the middle.

        Args:
            name: String, one of `values`.
            log: Whether the values, if all of them are positive, are drawn on a
                logarithmic scale.
        """
        from matplotlib.colors import LogNorm
        from matplotlib.figure import Figure

        values = np.ma.masked_invalid(self.values[name].astype("float64"))
        log = log and values.count() > 0 and values.min() > 0
        figure = Figure(figsize=(5.2, 4.2), layout="constrained")
        axes = figure.add_subplot()
        if values.ndim == 1:
            axes.plot(self.grid, values)
            axes.axvline(0, color="0.6", linewidth=0.8)
            axes.set(xlabel="along the direction", ylabel=name)
            if log:
                axes.set_yscale("log")
            return figure
        low, high = values.min(), values.max()
        if log and high > low:
            levels = np.geomspace(low, high, 20)
        else:
            levels = np.linspace(low, high if high > low else low + 1, 20)
        filled = axes.contourf(
            self.grid,
            self.grid,
            values.T,
            levels,
            norm=LogNorm(low, high) if log and high > low else None,
            cmap="viridis",
        )
        axes.contour(
            self.grid, self.grid, values.T, levels, colors="white", linewidths=0.3
        )
        axes.plot(0, 0, "+", color="#d55e00", markersize=9)
        axes.set(xlabel="first direction", ylabel="second direction", aspect="equal")
        bar = figure.colorbar(filled, ax=axes, label=name, format="%.3g")
        bar.set_ticks(levels[:: len(levels) // 6])
        bar.ax.minorticks_off()
        return figure


def loss_landscape(
    model: keras.Model,
    data: Any,
    dimensions: Literal[1, 2] = 2,
    points: int = 21,
    span: float = 1.0,
    normalize: Literal["filter"] | None = "filter",
    directions: list | None = None,
    seed: int = 0,
    batch_size: int = 256,
    verbose: Literal["auto", 0, 1] = "auto",
) -> Landscape:
    """The loss and metrics of a compiled model on a grid around its weights.

    `points ** dimensions` passes over the data, in inference, whatever losses the
    layers add included. The weights that move are the trainable ones. The model is
    left exactly as it was.

    Args:
        model: A compiled `keras.Model`.
        data: `(x, y)` or `(x, y, sample_weight)`, or a `keras.utils.PyDataset` or
            other iterable of such batches.
        dimensions: 1 or 2.
        points: Integer, `>= 2`. How many places along each direction; an odd number
            has the model itself among them.
        span: Float, `> 0`. The grid goes from `-span` to `span`; 1 is a step as long
            as the filters themselves.
        normalize: `"filter"`, or None for directions of N(0, 1) as they are drawn.
        directions: Optional list of as many directions as dimensions, each a list of
            arrays in the order of `model.trainable_variables`, taken as they are: the
            way to another solution, for one.
        seed: Integer, for the directions drawn.
        batch_size: Integer. How arrays are cut.
        verbose: `"auto"` or 1 to report progress on standard error, 0 for silence.

    Returns:
        A `Landscape`, with `grid`, `values`, `save(path)` and `figure()`.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile(loss="mse", metrics=["mae"])
    >>> data = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    >>> found = loss_landscape(model, data, points=5, verbose=0)
    >>> found.loss.shape, sorted(found.values)
    ((5, 5), ['loss', 'mae'])

    Reference: Li et al. 2018, https://arxiv.org/abs/1712.09913
    """
    check_compiled(model)
    _check(dimensions, points, span, normalize)
    batches = in_batches(data, batch_size)
    if not model.built:
        model(batches[0][0])
    start = [v.numpy() for v in model.trainable_variables]
    if directions is None:
        directions = draw_directions(model, dimensions, normalize, seed)
    _check_directions(directions, dimensions, start)
    grid = np.linspace(-span, span, points)
    shape = (points,) * dimensions
    values = {}
    with unchanged(model):
        for place in tracked([*np.ndindex(shape)], "loss landscape", verbose):
            steps = [grid[i] for i in place]
            for i, variable in enumerate(model.trainable_variables):
                along = sum(
                    a * np.asarray(d[i], "float64")
                    for a, d in zip(steps, directions, strict=True)
                )
                variable.assign((start[i] + along).astype(start[i].dtype))
            for name, value in _evaluate(model, batches).items():
                values.setdefault(name, np.full(shape, np.nan))[place] = value
    return Landscape(grid, values)


def draw_directions(model, dimensions, normalize, seed):
    """Random directions, filter by filter as long as the model's weights."""
    random, found = np.random.default_rng(seed), []
    for _ in range(dimensions):
        direction = []
        for variable, axes in zip(
            model.trainable_variables, filter_axes(model), strict=True
        ):
            weight = variable.numpy().astype("float64")
            drawn = random.normal(size=weight.shape)
            if normalize:
                drawn = filter_normalized(drawn, weight, axes)
            direction.append(drawn)
        found.append(direction)
    return found


def _evaluate(model, batches):
    """Loss and metrics over batches as `evaluate` has them, many times faster.

    `evaluate` sets up a data pipeline at each call. `test_on_batch` does not, but
    resets the metrics, which here go on over the batches.
    """
    model.reset_metrics()
    object.__setattr__(model, "reset_metrics", lambda: None)
    try:
        for x, y, sample_weight in batches:
            logs = model.test_on_batch(x, y, sample_weight, return_dict=True)
    finally:
        object.__delattr__(model, "reset_metrics")
    return {name: float(value) for name, value in logs.items()}


def _check(dimensions, points, span, normalize):
    if dimensions not in (1, 2):
        raise ValueError(
            f"`dimensions` must be 1 or 2. Received: dimensions={dimensions}"
        )
    if not isinstance(points, int) or points < 2:
        raise ValueError(
            f"`points` must be an integer, at least 2. Received: points={points!r}"
        )
    if not span > 0:
        raise ValueError(f"`span` must be > 0. Received: span={span}")
    if normalize not in ("filter", None):
        raise ValueError(
            f"`normalize` must be 'filter' or None. Received: normalize={normalize!r}"
        )


def _check_directions(directions, dimensions, weights):
    shapes = [w.shape for w in weights]
    if len(directions) != dimensions or any(
        [np.shape(part) for part in direction] != shapes for direction in directions
    ):
        raise ValueError(
            f"`directions` must be {dimensions} lists of arrays with the shapes of "
            f"`model.trainable_variables`, {shapes}. Received: {len(directions)} of "
            f"{[[np.shape(part) for part in d] for d in directions]}"
        )
