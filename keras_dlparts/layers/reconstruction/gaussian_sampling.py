"""A Gaussian code: a reparametrised draw, and the KL divergence from the prior N(0, I).

    m, l = W x + b in two halves, or two inputs      mean, logarithm of the variance
    z_j  = m_j + exp(l_j / 2) e_j,   e_j ~ N(0, 1)
    KL_j = 1/2 (m_j^2 + exp(l_j) - 1 - l_j)          of N(m_j, exp l_j) from N(0, 1)
    loss = beta sum_j max(free_bits, mean_i KL_ij)   i: samples of the batch

Shapes: x (batch, features) -> (batch, units), or [m, l], both (batch, ..., units) ->
the same. Inference: z = m, and the loss is sum_j mean_i KL_ij as it is, without beta
and free bits, so that it adds up to a bound on the likelihood.
Kingma & Welling 2014, "Auto-encoding variational Bayes", arXiv:1312.6114; Kingma et al.
2016 (free bits), arXiv:1606.04934; Higgins et al. 2017 (beta).
"""

import weakref

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.support.checks import check_count, check_number
from keras_dlparts.support.losses import add_loss

_ALONE = "a code is drawn at random in every step of training"
CASES = {
    "GaussianSampling": (
        {
            "arguments": {"units": 3, "free_bits": 0.1, "seed": 1},
            "input_shape": (4, 5),
            "alone": _ALONE,
        },
        {
            "arguments": {"beta": 0.5},
            "input_shape": [(4, 3), (4, 3)],
            "alone": _ALONE,
        },
    )
}


def drawn(mean, log_variance, noise):
    """z = mean + deviation * noise; the noise is an argument."""
    return mean + ops.exp(0.5 * log_variance) * noise


def gaussian_kl(mean, log_variance):
    """KL of N(mean, exp(log_variance)) from N(0, 1), element by element, in float32.

    Near the prior it is a small difference of numbers near 1.
    """
    mean, log_variance = (ops.cast(x, "float32") for x in (mean, log_variance))
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)


def with_free_bits(kl, free_bits):
    """sum_j max(free_bits, mean over the samples of KL_j), a scalar."""
    mean = ops.mean(ops.reshape(kl, (ops.shape(kl)[0], -1)), axis=0)
    return ops.sum(ops.maximum(mean, free_bits))


@keras.saving.register_keras_serializable("dlparts")
class GaussianSampling(keras.layers.Layer):
    """Draws a code from a diagonal Gaussian, and adds its KL divergence to the loss.

    With `units` it is a layer with weights that makes mean and log-variance itself;
    without, it takes them as `[mean, log_variance]`. The loss is in nats, summed over
    the code and averaged over the batch: put it beside a reconstruction loss that is
    summed over the features (`models.Autoencoder` does). Beside a *mean* over 784
    pixels the same `beta=1` would weigh hundreds of times as much.

    Each replica of a strategy draws for its share of the batch, and takes the free bits
    of that share.

    Args:
        units: Integer, `>= 1`, the size of the code; None to be given mean and
            log-variance.
        beta: What the KL divergence is multiplied by in training: a float `>= 0`, or a
            schedule of the training step, such as `schedules.Ramp(1000)` for a warm-up.
            Several calls within one pass through the model are one step.
        free_bits: Float, `>= 0`, in nats. Of each unit's KL divergence, averaged over
            the batch, less than this costs nothing more to have.
        kernel_initializer: Of W.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, features)`, or a list of mean and log-variance.
        training: Boolean. Whether to draw; if not, the output is the mean.

    Output shape: `(batch, units)`, or that of the mean.

    Example:

    >>> import numpy as np
    >>> layer = GaussianSampling(seed=0)
    >>> mean, log_variance = np.ones((4, 2), "float32"), np.zeros((4, 2), "float32")
    >>> z = layer([mean, log_variance], training=True)
    >>> z.shape == (4, 2), float(layer.losses[0])  # 2 units of 1/2 nat each
    (True, 1.0)

    Reference: Kingma & Welling 2014, https://arxiv.org/abs/1312.6114
    """

    def __init__(
        self,
        units: int | None = None,
        beta: float | keras.optimizers.schedules.LearningRateSchedule = 1.0,
        free_bits: float = 0.0,
        kernel_initializer: str | keras.initializers.Initializer = "glorot_uniform",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if units is not None:
            check_count("units", units)
        if isinstance(beta, dict):
            beta = keras.saving.deserialize_keras_object(beta)
        self.scheduled = isinstance(
            beta, keras.optimizers.schedules.LearningRateSchedule
        )
        if not self.scheduled:
            check_number("beta", beta, least=0)
        check_number("free_bits", free_bits, least=0)
        self.units = units
        self.beta = beta
        self.free_bits = free_bits
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed)
        self._counted = weakref.WeakSet()  # passes through a model, while they last

    def build(self, input_shape):
        several = isinstance(input_shape[0], list | tuple)
        if several != (self.units is None):
            raise ValueError(
                "`GaussianSampling` takes a list of mean and log-variance, or one "
                "tensor if `units` says how wide the code is. Received: "
                f"units={self.units} and an input of shape {input_shape}"
            )
        if several:
            if len(input_shape) != 2 or tuple(input_shape[0]) != tuple(input_shape[1]):
                raise ValueError(
                    "`GaussianSampling` takes a mean and a log-variance of one shape. "
                    f"Received: shapes {input_shape}"
                )
        else:
            self.kernel = self.add_weight(
                (input_shape[-1], 2 * self.units),
                self.kernel_initializer,
                name="kernel",
            )
            self.bias = self.add_weight((2 * self.units,), "zeros", name="bias")
        if self.scheduled:
            self.steps = backend.running_variable((), "steps")

    def moments(self, inputs):
        """(mean, log-variance) of the code of some inputs."""
        if self.units is None:
            return tuple(inputs)
        both = ops.matmul(inputs, self.kernel) + self.bias
        return both[..., : self.units], both[..., self.units :]

    def weight(self, training):
        """beta as of this step; the first training call of a pass counts."""
        if not training:
            return 1.0
        if not self.scheduled:
            return self.beta
        under_way = keras_private.pass_under_way()
        if under_way not in self._counted:
            self.steps.assign(self.steps + 1)
        if under_way is not None:
            self._counted.add(under_way)
        return ops.cast(self.beta(self.steps.value - 1), "float32")

    def divergence(self, kl, training):
        """The loss of KL divergences of shape `(batch, ..., units)`."""
        free_bits = self.free_bits if training else 0.0
        return self.weight(training) * with_free_bits(kl, free_bits)

    def draw(self, mean, log_variance, samples=1):
        """So many codes of each row, stacked in front: `(samples * batch, ...)`."""
        shape = ops.shape(mean)
        noise = keras.random.normal(
            (samples, *shape), dtype="float32", seed=self.seed_generator
        )
        z = drawn(mean, log_variance, ops.cast(noise, mean.dtype))
        return ops.reshape(z, (-1, *shape[1:]))

    def call(self, inputs, training=False):
        mean, log_variance = self.moments(inputs)
        add_loss(self, self.divergence(gaussian_kl(mean, log_variance), training))
        return self.draw(mean, log_variance) if training else mean

    def compute_output_shape(self, input_shape):
        if self.units is None:
            return tuple(input_shape[0])
        return (*input_shape[:-1], self.units)

    def get_config(self):
        beta = self.beta
        if self.scheduled:
            beta = keras.saving.serialize_keras_object(beta)
        return {
            **super().get_config(),
            "units": self.units,
            "beta": beta,
            "free_bits": self.free_bits,
            "kernel_initializer": keras.saving.serialize_keras_object(
                self.kernel_initializer
            ),
            "seed": self.seed,
        }
