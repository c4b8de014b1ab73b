"""Two references that sparse layers are held against, with their published settings.

Magnitude pruning (Zhu & Gupta 2017, arXiv:1710.01878): the smallest weights of all
layers are masked, after each epoch e, so that the sparsity is

    s_e = s_f (1 - (1 - (e - e_0) / (e_1 - e_0))^3)

from e_0 = 2 to e_1 = 3/4 of the epochs; the rest of them is fine tuning. (The paper has
one sparsity for all layers, which was worse here: it starves the last one.)

Sparse variational dropout (Molchanov, Ashukha & Vetrov 2017, arXiv:1701.05369): with
log a = clip(log s^2 - log w^2, -8, 8) the loss gains, over the N samples,

    KL = -sum .63576 sig(1.8732 + 1.48695 log a) - .5 log(1 + 1/a) - .63576

the outputs are drawn (the local reparametrisation), log s^2 starts at -10, the weight
of the KL grows from 0 after epoch 5 to 1 after epoch 20 (more leaves fewer weights),
and weights of log a >= 3 count as zero. The bias has no noise.

Both are for layers of the kinds Dense and Conv2D.
"""

import keras
import numpy as np
from keras import ops

from keras_dlparts.callbacks import SparsityTarget
from keras_dlparts.layers import BayesianSparsityDropout
from keras_dlparts.layers.sparsity.weights_left import counts_of


def linear(layer, x, kernel):
    """What a layer makes of its inputs with another kernel and without its bias."""
    if isinstance(layer, keras.layers.Dense):
        return ops.matmul(x, kernel)
    return layer.convolution_op(x, kernel)


class Magnitude(keras.layers.Wrapper):
    """A layer whose kernel is masked."""

    def build(self, input_shape):
        super().build(input_shape)
        self.mask = self.add_weight(
            shape=self.layer.kernel.shape, initializer="ones", trainable=False
        )

    def call(self, x, training=False):
        y = linear(self.layer, x, self.layer.kernel * self.mask)
        return self.layer.activation(y + self.layer.bias)

    def size(self):
        return np.abs(self.layer.kernel.numpy() * self.mask.numpy())

    def counts(self):
        return int(self.mask.numpy().sum()), self.mask.numpy().size


class Cubic(keras.callbacks.Callback):
    """Prunes the layers together on the cubic schedule."""

    def __init__(self, sparsity, epochs):
        super().__init__()
        self.sparsity, self.first, self.last = sparsity, 2, 0.75 * epochs

    def on_epoch_end(self, epoch, logs=None):
        past = np.clip((epoch + 1 - self.first) / (self.last - self.first), 0, 1)
        sparsity = self.sparsity * (1 - (1 - past) ** 3)
        layers = [one for one in self.model.layers if isinstance(one, Magnitude)]
        sizes = [layer.size() for layer in layers]
        least = np.quantile(np.concatenate([s.ravel() for s in sizes]), sparsity)
        for layer, size in zip(layers, sizes, strict=True):
            layer.mask.assign(size > least if sparsity else size >= 0)


class Variational(keras.layers.Wrapper):
    """A layer with noise on each weight, of a strength that is learnt."""

    def __init__(self, layer, samples, **kwargs):
        super().__init__(layer, **kwargs)
        self.samples = samples
        self.seeds = keras.random.SeedGenerator(0)

    def build(self, input_shape):
        super().build(input_shape)
        self.log_s2 = self.add_weight(
            shape=self.layer.kernel.shape,
            initializer=keras.initializers.Constant(-10.0),
        )
        self.share = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def log_a(self):
        w2 = ops.square(ops.convert_to_tensor(self.layer.kernel))
        return ops.clip(self.log_s2 - ops.log(w2 + 1e-8), -8.0, 8.0)

    def call(self, x, training=False):
        w, log_a = ops.convert_to_tensor(self.layer.kernel), self.log_a()
        if not training:
            y = linear(self.layer, x, w * ops.cast(log_a < 3, w.dtype))
            return self.layer.activation(y + self.layer.bias)
        sigmoid = ops.sigmoid(1.8732 + 1.48695 * log_a)
        kl = -ops.sum(0.63576 * sigmoid - 0.5 * ops.softplus(-log_a) - 0.63576)
        self.add_loss(self.share * kl / self.samples)
        variance = linear(self.layer, x * x, ops.exp(log_a) * w * w)
        noise = keras.random.normal(ops.shape(variance), seed=self.seeds)
        y = linear(self.layer, x, w) + ops.sqrt(variance + 1e-8) * noise
        return self.layer.activation(y + self.layer.bias)

    def counts(self):
        log_a = ops.convert_to_numpy(self.log_a())
        return int((log_a < 3).sum()), log_a.size


class GrowingKL(keras.callbacks.Callback):
    """The weight of the KL: 0 up to epoch 5, from epoch 20 on all of it."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def on_epoch_begin(self, epoch, logs=None):
        for layer in self.model.layers:
            if isinstance(layer, Variational):
                layer.share.assign(self.weight * np.clip((epoch - 5) / 15, 0, 1))


class InputNoise(keras.layers.Layer):
    """Sets inputs to zero in training, fewer in each epoch: the rate falls to 0."""

    def __init__(self, rate, seed, **kwargs):
        super().__init__(**kwargs)
        self.first = rate
        self.seeds = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        self.rate = self.add_weight((), "zeros", trainable=False)

    def call(self, x, training=False):
        if not training:
            return x
        drawn = keras.random.uniform(ops.shape(x), seed=self.seeds)
        return ops.where(drawn < self.rate, 0.0, x / (1 - self.rate))


class FallingRate(keras.callbacks.Callback):
    """The rate of input noise: linear from the first to the last epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        last = max(self.params["epochs"] - 1, 1)
        for layer in self.model.layers:
            if isinstance(layer, InputNoise):
                layer.rate.assign(layer.first * (1 - epoch / last))


def method_of(name, setting, samples, epochs, seed):
    """(what makes a layer sparse, callbacks): dense, ours, or one of the references.

    `setting` is the strength of our layer's prior, the fraction of weights that
    `target` and `units` leave, the sparsity that pruning ends with, or the weight of
    the KL (1 as published, if it is None).
    """
    if name in ("target", "units"):
        options = {"warmup": 2, "seed": seed}
        callbacks = [SparsityTarget(setting, whole_units=name == "units")]
        return lambda layer: BayesianSparsityDropout(layer, **options), callbacks
    if name == "ours":
        options = {"strength": setting, "warmup": 2, "seed": seed}
        return lambda layer: BayesianSparsityDropout(layer, **options), []
    if name == "magnitude":
        return Magnitude, [Cubic(setting, epochs)]
    if name == "variational":
        return lambda layer: Variational(layer, samples), [GrowingKL(setting or 1.0)]
    return lambda layer: layer, []


def counts(model):
    """(weights left, all weights) of the layers that can drop some; (1, 1) if none."""
    counted = [layer for layer in model.layers if hasattr(layer, "counts")]
    return counts_of(counted) if counted else (1, 1)
