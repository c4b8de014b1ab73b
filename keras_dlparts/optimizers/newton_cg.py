"""Newton's method without the Hessian: conjugate gradients on its products.

    (H + lambda I) p = -g     by conjugate gradients
    x <- x + a p              a the first of 1, 1/2, 1/4, ... with
                              f(x + a p) <= f(x) + c a g'p          (Armijo, c = 1e-4)
    rho = (f(x) - f(x + a p)) / -(a g'p + a^2 p'Hp / 2)     what the model is worth

The damping lambda grows, times 4, where rho < 1/4, and shrinks, over 4, where
rho > 3/4. Where conjugate gradients meet a direction that curves down they stop with
what they have, or with -g if that is nothing, and lambda grows beyond that curvature.
Each iteration costs one gradient a trial of the line search and one product H v an
inner iteration, on all the data as one batch.

Shapes: x, g, p are all trainable weights in one vector.
Nocedal & Wright 2006, "Numerical Optimization", algorithm 7.1; the damping is from
Martens 2010, "Deep learning via Hessian-free optimization".
"""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.support import progress

_ARMIJO = 1e-4
_HALVINGS = 30
# Curvature and damping count as zero below this share of the largest seen.
_NEGLIGIBLE = 1e-6


def conjugate_gradients(product, g, tolerance, iterations):
    """Solve A p = -g approximately, A being given by its products.

    Stops at |A p + g| <= tolerance |g|. Returns `(p, iterations, curvature)`, the last
    being d'Ad / d'd of a direction d that curves down, or 0 if it met none.
    """
    p, r, d = np.zeros_like(g), g.copy(), -g
    square = start = r @ r
    largest = 0.0
    for i in range(1, iterations + 1):
        ad = product(d)
        curvature = (d @ ad) / (d @ d)
        largest = max(largest, abs(curvature))
        if curvature <= _NEGLIGIBLE * largest:
            down = curvature < -_NEGLIGIBLE * largest
            return (p if i > 1 else d), i, curvature if down else 0.0
        a = square / (d @ ad)
        p, r = p + a * d, r + a * ad
        square, before = r @ r, square
        if square <= tolerance**2 * start:
            break
        d = square / before * d - r
    return p, i, 0.0


def newton(
    model: keras.Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    iterations: int = 100,
    tolerance: float = 1e-6,
    damping: float = 0.0,
    cg_iterations: int = 100,
    cg_tolerance: float = 1e-6,
    verbose: Literal["auto", 0, 1] = "auto",
) -> dict[str, Any]:
    """Train a small compiled model by Newton's method, on all its data at once.

    The loss is the one that the model was compiled with, in training mode; random
    draws are the same at every evaluation. Seeds and moving averages stay as they
    are: `keras_dlparts.recalibrate` gives batch normalisation its statistics. The
    model's optimizer has no part in it.

    Args:
        model: A compiled `keras.Model`. Its trainable weights are changed.
        x: Inputs of the one batch.
        y: Targets.
        sample_weight: Optional weights of the samples.
        iterations: Integer, `>= 1`. The most Newton steps to make.
        tolerance: Float, `>= 0`. Stop where the gradient's norm is at most that.
        damping: Float, `>= 0`. What lambda starts from.
        cg_iterations: Integer, `>= 1`. The most products with H for a step.
        cg_tolerance: Float, `>= 0`. How far the inner solution goes: until the
            residual is at most this part of the gradient.
        verbose: `"auto"` or 1 to report each step on standard error, 0 for silence.

    Returns:
        A dict of lists, with an entry for the start and one for each step: `loss` and
        `gradient_norm` after the step, `step` (a), `cg_iterations`, `damping` (the
        lambda of the step), `ratio` (rho). And `stop`, why it ended: `"gradient"`
        (at most the tolerance), `"precision"` (no step makes the loss or, where that
        rounds to the same, the gradient smaller), `"iterations"`.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(loss="mse")
    >>> x = np.array([[1.0, 0.0], [0.0, 100.0], [0.0, 0.0]], "float32")
    >>> history = newton(model, x, np.ones((3, 1), "float32"), iterations=1)
    >>> history["loss"][1] < 1e-6 * history["loss"][0]
    True
    """
    _check(model, iterations, tolerance, damping, cg_iterations, cg_tolerance)
    say = progress.news(verbose)
    problem = _Problem(model, (x, y, sample_weight))
    at = problem.point()
    loss, g = problem.gradient(at)
    if not np.isfinite(loss):
        raise ValueError(
            f"The loss must be finite where `newton` starts. Received: loss={loss}"
        )
    names = "loss", "gradient_norm", "step", "cg_iterations", "damping", "ratio"
    history = {name: [] for name in names}

    def note(*row):
        for name, value in zip(names, row, strict=True):
            history[name].append(value)
        told = (f"{n} {v:.4g}" for n, v in zip(names, row, strict=True))
        say(f"{len(history['loss']) - 1}  {'  '.join(told)}")

    note(loss, float(np.linalg.norm(g)), 0.0, 0, damping, 1.0)
    history["stop"] = "iterations"
    try:
        for _ in range(iterations):
            if history["gradient_norm"][-1] <= tolerance:
                history["stop"] = "gradient"
                break
            p, inner, curvature = conjugate_gradients(
                lambda v, at=at, lam=damping: problem.product(at, v) + lam * v,
                g,
                cg_tolerance,
                cg_iterations,
            )
            found = _search(problem, at, loss, g, p)
            if found is None:
                history["stop"] = "precision"
                break
            a, new_loss, new_g = found
            php = p @ problem.product(at, p)
            expected = -(a * (g @ p) + a**2 * php / 2)
            ratio = (loss - new_loss) / expected if expected > 0 else 0.0
            if abs(loss - new_loss) <= problem.resolution(loss):
                ratio = 1.0  # a difference of rounding does not judge the model
            at, loss, g = at + a * p, new_loss, new_g
            note(loss, float(np.linalg.norm(g)), a, inner, damping, float(ratio))
            scale = abs(php) / (p @ p)
            damping = _next_damping(damping, ratio, curvature, scale)
        else:
            if history["gradient_norm"][-1] <= tolerance:
                history["stop"] = "gradient"
    finally:
        problem.move(at)
    return history


def _search(problem, at, loss, g, p):
    """(a, loss, gradient) of the first a = 1, 1/2, ... that is good enough, or None."""
    slope = g @ p
    for halvings in range(_HALVINGS):
        a = 0.5**halvings
        new_loss, new_g = problem.gradient(at + a * p)
        if -a * slope > problem.resolution(loss):
            good = new_loss <= loss + _ARMIJO * a * slope
        else:  # near the minimum losses round to the same; the gradient decides
            good = new_loss <= loss + problem.resolution(loss)
            good = good and np.linalg.norm(new_g) < np.linalg.norm(g)
        if good:
            return a, new_loss, new_g
    return None


def _next_damping(damping, ratio, curvature, scale):
    """Lambda for the next step; `scale` is the curvature along this one."""
    if curvature < 0:  # of H + lambda I, so lambda is subtracted
        return max(4 * damping, 2 * (damping - curvature))
    if ratio < 0.25:
        return max(4 * damping, 1e-3 * scale)
    if ratio > 0.75:
        return damping / 4 if damping / 4 > _NEGLIGIBLE * scale else 0.0
    return damping


def _check(model, iterations, tolerance, damping, cg_iterations, cg_tolerance):
    if not getattr(model, "compiled", False):
        raise ValueError(
            "`model` must be compiled, for the loss. Received: a model that is not; "
            "call `model.compile(loss=...)`"
        )
    for name, value, least in (
        ("iterations", iterations, 1),
        ("tolerance", tolerance, 0),
        ("damping", damping, 0),
        ("cg_iterations", cg_iterations, 1),
        ("cg_tolerance", cg_tolerance, 0),
    ):
        if not value >= least:
            raise ValueError(
                f"`{name}` must be at least {least}. Received: {name}={value}"
            )


class _Problem:
    """The loss of a model on one batch as a function of one vector."""

    def __init__(self, model, batch):
        if not model.built:
            with backend.unmoved(model):
                model(batch[0])
        self.model, self.batch = model, batch
        self.variables = model.trainable_variables
        self.ends = np.cumsum([int(np.prod(v.shape)) for v in self.variables])[:-1]
        self._gradient = backend.gradient_function(model)
        self._curvature = backend.curvature_function(model)

    def _parts(self, vector):
        parts = np.split(vector, self.ends)
        return [p.reshape(v.shape) for p, v in zip(parts, self.variables, strict=True)]

    def _whole(self, parts):
        return np.concatenate(
            [
                np.zeros(int(np.prod(v.shape)))
                if part is None
                else ops.convert_to_numpy(part).astype("float64").ravel()
                for part, v in zip(parts, self.variables, strict=True)
            ]
        )

    def point(self):
        return self._whole([v.value for v in self.variables])

    def move(self, at):
        for variable, part in zip(self.variables, self._parts(at), strict=True):
            variable.assign(part.astype(variable.dtype))

    def gradient(self, at):
        """The loss at a point and its gradient there."""
        self.move(at)
        with backend.unmoved(self.model):
            loss, gradients = self._gradient(*self.batch)
        return float(ops.convert_to_numpy(loss)), self._whole(gradients)

    def product(self, at, vector):
        """H v at a point."""
        self.move(at)
        with backend.unmoved(self.model):
            return self._whole(self._curvature(self._parts(vector), *self.batch)[2])

    def resolution(self, loss):
        """How far apart losses must be to differ for more than rounding."""
        # Of bfloat16, too, which `np.finfo` does not know.
        eps = float(np.spacing(np.ones((), self.variables[0].dtype)))
        return 10 * eps * abs(loss)
