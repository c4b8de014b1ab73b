"""Newton's method with the diagonal of the Hessian: one step size a weight.

    m <- beta_1 m + (1 - beta_1) g                 m^ = m / (1 - beta_1^t)
    s <- beta_2 s + (1 - beta_2) D^2               s^ = s / (1 - beta_2^k)
    x <- x - learning_rate clip(m^ / (sqrt(s^) + epsilon), -clip, clip)

g is the gradient of step t. D is the k-th estimate of the Hessian's diagonal, which
an optimizer cannot make: it sees no loss. `callbacks.HutchinsonCurvature` does, every
few steps, and hands it over. The mean of squares makes |D| of it: where the loss
curves down, the step still goes downhill. Until the first estimate 1 stands in for
sqrt(s^) + epsilon: gradient descent. Shapes: everything as the weight it belongs to.

Yao et al. 2021, "AdaHessian", arXiv:2006.00719; the bound and estimates at every few
steps are from Liu et al. 2023, "Sophia", arXiv:2305.14342.
"""

from collections.abc import Callable, Sequence

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import keras_private

CASES = {
    "DiagonalNewton": (
        {"arguments": {}},
        {"arguments": {"learning_rate": 0.05, "clip": None, "weight_decay": 0.01}},
    )
}


def direction(m, s, t, k, beta_1, beta_2, epsilon, clip):
    """What the learning rate multiplies, after t gradients and k estimates."""
    m = m / (1 - beta_1**t)
    # Before the first estimate 1 - beta_2^k is 0; the quotient is not used then.
    size = ops.sqrt(s / (1 - beta_2 ** ops.maximum(k, 1))) + epsilon
    step = m / ops.where(k > 0, size, ops.ones_like(size))
    return step if clip is None else ops.clip(step, -clip, clip)


@keras.saving.register_keras_serializable("dlparts")
class DiagonalNewton(keras.optimizers.Optimizer):
    """Divides the gradient by the size of the Hessian's diagonal, weight by weight.

    Use it with `callbacks.HutchinsonCurvature`, which estimates that diagonal. Without
    it this is gradient descent with momentum.

    Args:
        learning_rate: Float or schedule. 1 is Newton's own step.
        beta_1: Float, `0 <= beta_1 < 1`. How slowly the mean of gradients forgets.
        beta_2: Float, `0 <= beta_2 < 1`. How slowly the mean of squared estimates of
            the diagonal forgets, in estimates.
        epsilon: Float, `> 0`. Added to the size of the diagonal.
        clip: Float, `> 0`, or None. The largest quotient, so that no weight moves by
            more than `learning_rate * clip` a step: flat directions need it.
        name: String.
        **kwargs: `weight_decay`, `clipnorm`, ... of `keras.optimizers.Optimizer`.

    Example:

    >>> import numpy as np
    >>> weights = keras.Variable([2.0, 3.0])
    >>> optimizer = DiagonalNewton(1.0, beta_1=0.0, clip=None)
    >>> optimizer.build([weights])
    >>> optimizer.update_curvature([[4.0, 100.0]])  # f = (4 x^2 + 100 y^2) / 2
    >>> optimizer.apply([np.array([8.0, 300.0], "float32")])
    >>> bool(abs(weights.numpy()).max() < 1e-5)  # at the minimum, in one step
    True

    Reference: Yao et al. 2021, https://arxiv.org/abs/2006.00719
    """

    def __init__(
        self,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule
        | Callable = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        epsilon: float = 1e-7,
        clip: float | None = 1.0,
        name: str = "diagonal_newton",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        for argument, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 <= value < 1:
                raise ValueError(
                    f"`{argument}` must be in 0 <= {argument} < 1. "
                    f"Received: {argument}={value}"
                )
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be > 0. Received: epsilon={epsilon}")
        if clip is not None and not clip > 0:
            raise ValueError(f"`clip` must be > 0 or None. Received: clip={clip}")
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.clip = clip

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momentums, self.curvatures = self.add_optimizer_variables(
            variables, ["momentum", "curvature"]
        )
        self.estimates = self.add_variable((), dtype="int32", name="estimates")

    def update_curvature(self, diagonal: Sequence):
        """Take a new estimate of the Hessian's diagonal into the mean.

        Args:
            diagonal: Arrays in the order and shapes of the variables that the
                optimizer was built with.
        """
        if not self.built:
            raise ValueError(
                "The optimizer has no variables yet. Call `optimizer.build(variables)` "
                "before `update_curvature`."
            )
        for s, d in zip(self.curvatures, diagonal, strict=True):
            d = ops.cast(ops.convert_to_tensor(d), s.dtype)
            s.assign(self.beta_2 * s + (1 - self.beta_2) * d * d)
        self.estimates.assign(self.estimates + 1)

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, variable.dtype)
        index = keras_private.variable_index(self, variable)
        m, s = self.momentums[index], self.curvatures[index]
        gradient = ops.cast(backend.dense(gradient), variable.dtype)
        self.assign(m, self.beta_1 * m + (1 - self.beta_1) * gradient)
        t = ops.cast(self.iterations + 1, variable.dtype)
        k = ops.cast(self.estimates, variable.dtype)
        step = direction(
            ops.convert_to_tensor(m),
            ops.convert_to_tensor(s),
            t,
            k,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            self.clip,
        )
        self.assign_sub(variable, rate * step)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "clip": self.clip,
        }
