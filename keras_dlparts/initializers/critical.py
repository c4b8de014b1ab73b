"""Weights at the edge of chaos: signals and gradients neither fade nor grow.

    W ~ N(0, s_w^2 / n_in)            or        W = s_w O,  O orthogonal
    q = s_w^2 E phi(u)^2 + s_b^2                the variance of pre-activations u
    chi_1 = s_w^2 E phi'(u)^2 = 1               what a layer multiplies gradients by

s_w^2 solves both for the activation and the biases' variance s_b^2. It is 1 for tanh
without biases and 2 for ReLU, which is He's. Shapes: any kernel's, with the inputs of a
unit on all axes but the last. Schoenholz et al. 2017, "Deep information propagation",
arXiv:1611.01232; Pennington et al. 2018 for orthogonal weights, arXiv:1802.09979.
"""

import math
from collections.abc import Callable
from typing import Literal

import keras

from keras_dlparts.initializers.gaussian_means import critical, tabulated
from keras_dlparts.support.checks import check_number, check_word

CASES = {"Critical": ({"arguments": {"bias_variance": 0.05, "seed": 0}},)}


@keras.saving.register_keras_serializable("dlparts")
class Critical(keras.initializers.Initializer):
    """Draws a kernel at the edge of chaos of an activation.

    The activation is the one behind the layer. Give the biases their variance too:
    `bias_initializer=RandomNormal(stddev=sqrt(bias_variance))`. For some activations
    the edge of chaos attracts at certain bias variances only: that of ReLU at 0, that
    of GELU from about 0.17 on. An error says so.

    Args:
        activation: A function of Keras or its name, which works on each element.
        bias_variance: Float, `>= 0`. The variance of the biases.
        distribution: `"normal"`, or `"orthogonal"`: with the latter, and an activation
            that is linear around 0, all singular values of a deep net's Jacobian stay
            near 1, not their mean square alone.
        seed: Optional integer.

    Example:

    >>> dense = keras.layers.Dense(
    ...     256, "tanh", kernel_initializer=Critical("tanh", bias_variance=0.05),
    ...     bias_initializer=keras.initializers.RandomNormal(stddev=0.05**0.5),
    ... )
    >>> round(Critical("tanh", bias_variance=0.05).weight_variance, 3)
    1.761

    Reference: Schoenholz et al. 2017, https://arxiv.org/abs/1611.01232
    """

    def __init__(
        self,
        activation: str | Callable | None = "tanh",
        bias_variance: float = 0.0,
        distribution: Literal["normal", "orthogonal"] = "normal",
        seed: int | None = None,
    ):
        check_number("bias_variance", bias_variance, least=0)
        check_word("distribution", distribution, ("normal", "orthogonal"))
        self.activation = keras.activations.get(activation)
        self.bias_variance = bias_variance
        self.distribution = distribution
        self.seed = seed
        self.weight_variance, self.variance = critical(
            tabulated(self.activation), bias_variance
        )
        if distribution == "orthogonal":
            gain = math.sqrt(self.weight_variance)
            self._draw = keras.initializers.Orthogonal(gain, seed)
        else:
            self._draw = keras.initializers.VarianceScaling(
                self.weight_variance, "fan_in", "untruncated_normal", seed
            )

    def __call__(self, shape, dtype=None):
        return self._draw(shape, dtype)

    def get_config(self):
        return {
            "activation": keras.activations.serialize(self.activation),
            "bias_variance": self.bias_variance,
            "distribution": self.distribution,
            "seed": self.seed,
        }
