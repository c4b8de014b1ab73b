"""The spectrum of a game: whether two nets that descend at once come to rest.

    theta = (theta_D, theta_G),   v(theta) = (dL_D/dtheta_D, dL_G/dtheta_G)
    J = dv/dtheta                 not symmetric: two losses, not one
    theta <- theta - eta v        near a point with v = 0 an error e becomes
                                  (1 - eta J) e

It shrinks if |1 - eta lambda| < 1 for each eigenvalue lambda = a + b i of J, that is if
eta < 2 a / (a^2 + b^2): a must be positive, and the more lambda turns, the smaller eta.
Where all a = 0, as in L_D = x y = -L_G, every step of any length leads round the point
and away from it. One loss alone has b = 0.
Mescheder et al. 2018, "Which training methods for GANs do actually converge?",
arXiv:1801.04406.
"""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.analysis.unchanged import check_compiled, unchanged
from keras_dlparts.support.checks import check_number

_MOST = 2000  # weights: the matrix is dense
_ZERO = 1e-3  # of the largest eigenvalue: what is smaller is rounding


@dataclasses.dataclass(frozen=True)
class GameSpectrum:
    """The eigenvalues of a game's Jacobian at a point.

    Attributes:
        eigenvalues: Complex array, the largest first.
        slope: The norm of v, which is 0 where neither net would move.
    """

    eigenvalues: np.ndarray
    slope: float

    @property
    def largest_learning_rate(self) -> float:
        """Below it simultaneous descent comes to rest here; 0 if it never does.

        Directions in which nothing changes, of eigenvalue 0, are left out.
        """
        size = np.abs(self.eigenvalues)
        moving = self.eigenvalues[size > _ZERO * size.max(initial=0)]
        if not len(moving):
            return float("inf")
        if moving.real.min() <= _ZERO * size.max():
            return 0.0
        return float((2 * moving.real / np.abs(moving) ** 2).min())

    def figure(self):
        """The eigenvalues in the plane, as a matplotlib Figure."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.5, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color="#999999", linewidth=1)
        axes.plot(self.eigenvalues.real, self.eigenvalues.imag, ".", color="#0072b2")
        axes.set(xlabel="real part: pull", ylabel="imaginary part: turn")
        return figure


def game_spectrum(model: keras.Model, x: Any, y: Any = None, step: float = 3e-3):
    """The `GameSpectrum` of a compiled `models.GAN` with few weights, on a batch.

    The slopes are taken in training mode with the same codes and masks throughout, and
    differentiated once more by central differences, two gradients for each weight. The
    model is left exactly as it was.

    Args:
        model: A compiled `models.GAN`, or any model whose training loss has for its
            slopes those of the players.
        x: Inputs, an array: one batch.
        y: Optional labels.
        step: Float, `> 0`. How far each weight is moved to either side. In float32
            eigenvalues are then exact to about 1e-4 of the largest second derivative.

    Returns: a `GameSpectrum`.

    Example:

    >>> from keras_dlparts.models import GAN
    >>> gan = GAN(keras.layers.Dense(1), keras.layers.Dense(1), latent=1, seed=0)
    >>> gan.compile("sgd")
    >>> spectrum = game_spectrum(gan, np.zeros((8, 1), "float32"))
    >>> spectrum.eigenvalues.shape
    (4,)
    """
    check_compiled(model)
    check_number("step", step, above=0)
    variables = model.trainable_variables
    sizes = [int(np.prod(v.shape)) for v in variables]
    if sum(sizes) > _MOST:
        raise ValueError(
            f"`game_spectrum` is for at most {_MOST} weights, for its matrix is dense. "
            f"Received: a model of {sum(sizes)} weights"
        )
    with unchanged(model):
        others = [*model.non_trainable_variables]
        state = [v.numpy().copy() for v in others]
        point = np.concatenate([np.ravel(v.numpy()) for v in variables])
        gradients = backend.gradient_function(model)

        def slopes(point):
            parts = np.split(point, np.cumsum(sizes)[:-1])
            for variable, part in zip(variables, parts, strict=True):
                variable.assign(part.reshape(variable.shape).astype("float32"))
            backend.assign(others, state)
            found = gradients(x, y)[1]
            return np.concatenate(
                [
                    np.zeros(size) if g is None else np.ravel(ops.convert_to_numpy(g))
                    for g, size in zip(found, sizes, strict=True)
                ]
            ).astype("float64")

        point = point.astype("float64")
        slope = np.linalg.norm(slopes(point))
        jacobian = differences(slopes, point, step)
    values = np.linalg.eigvals(jacobian)
    order = np.argsort(-np.abs(values))
    return GameSpectrum(values[order], float(slope))


def differences(function, point, step):
    """The Jacobian of a function of an array, by central differences.

    >>> turned = lambda p: np.array([p[1], -p[0]])
    >>> (differences(turned, np.zeros(2), 0.1) + 0.0).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    columns = []
    for i in range(len(point)):
        move = np.zeros_like(point)
        move[i] = step
        columns.append((function(point + move) - function(point - move)) / (2 * step))
    return np.stack(columns, axis=1)
