"""How well the gradient foretells what a step along it meets.

    w(t) = w - t g,  g the gradient at w,  t over a range of step sizes

    loss variation            the range of L(w(t))
    gradient predictiveness   the range of |g - g(w(t))|
    effective smoothness      max_t |g - g(w(t))| / (t |g|)

All on one batch, in training mode, with the same random draws at every t. Smaller
ranges mean that larger steps are safe. Shapes: scalars, and arrays over t.
Santurkar et al. 2018, "How does batch normalization help optimization?",
arXiv:1805.11604, figure 4.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.analysis.unchanged import check_compiled, unchanged


def along_the_step(
    model: keras.Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    learning_rate: float = 0.1,
    reach: tuple[float, float] = (0.5, 4.0),
    points: int = 8,
    gradient: Callable | None = None,
) -> dict:
    """Loss variation, gradient predictiveness and effective smoothness at a point.

    The model is left exactly as it was, so this can be called between the steps of a
    training, as the paper does.

    Args:
        model: A compiled `keras.Model`.
        x: Inputs of one batch.
        y: Its targets.
        sample_weight: Optional weights of the samples.
        learning_rate: Float, `> 0`. The step size that is asked about.
        reach: Two floats `0 < low <= high`: t goes from `low * learning_rate` to
            `high * learning_rate`, evenly.
        points: Integer, `>= 1`. How many step sizes.
        gradient: Optional `keras_dlparts.backend.gradient_function(model)`, to compile
            it once for many calls.

    Returns:
        A dict: arrays `step` (t), `loss` and `gradient_change` over t; `loss_variation`
        and `gradient_predictiveness`, each a pair (smallest, largest);
        `effective_smoothness`, `gradient_norm` and `loss_here`, floats.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(loss="mse")
    >>> x = np.array([[3.0, 0.0], [0.0, 0.0]], "float32")
    >>> found = along_the_step(model, x, np.ones((2, 1), "float32"))
    >>> found["effective_smoothness"] <= 11  # at most the largest curvature
    True

    Reference: Santurkar et al. 2018, https://arxiv.org/abs/1805.11604
    """
    check_compiled(model)
    if not learning_rate > 0:
        raise ValueError(
            f"`learning_rate` must be > 0. Received: learning_rate={learning_rate}"
        )
    low, high = reach
    if not 0 < low <= high:
        raise ValueError(f"`reach` must be 0 < low <= high. Received: reach={reach}")
    if points < 1:
        raise ValueError(f"`points` must be at least 1. Received: points={points}")
    steps = np.linspace(low, high, points) * learning_rate
    measure = gradient or backend.gradient_function(model)

    def measured():
        with backend.unmoved(model):
            loss, gradients = measure(x, y, sample_weight)
        return float(ops.convert_to_numpy(loss)), [
            np.zeros(v.shape)
            if g is None
            else ops.convert_to_numpy(g).astype("float64")
            for g, v in zip(gradients, model.trainable_variables, strict=True)
        ]

    losses, changes = [], []
    with unchanged(model):
        loss, g = measured()
        start = [v.numpy() for v in model.trainable_variables]
        for t in steps:
            for v, w, part in zip(model.trainable_variables, start, g, strict=True):
                v.assign((w - t * part).astype(w.dtype))
            there, other = measured()
            losses.append(there)
            changes.append(_norm([a - b for a, b in zip(g, other, strict=True)]))
    size = _norm(g)
    losses, changes = np.array(losses), np.array(changes)
    smoothness = changes / (steps * size) if size else np.zeros(points)
    return {
        "step": steps,
        "loss": losses,
        "gradient_change": changes,
        "loss_variation": (float(losses.min()), float(losses.max())),
        "gradient_predictiveness": (float(changes.min()), float(changes.max())),
        "effective_smoothness": float(smoothness.max()),
        "gradient_norm": size,
        "loss_here": loss,
    }


def _norm(parts):
    return float(np.sqrt(sum((part**2).sum() for part in parts)))
