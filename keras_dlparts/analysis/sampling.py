"""Monte-Carlo dropout: the answer of a net as the mean over random passes.

    y_s     = f(x; masks drawn anew)           s = 1..n
    mean    = 1/n sum_s y_s                    std^2 = 1/n sum_s (y_s - mean)^2
    scaling = f(x; nothing dropped)            the weight-scaling rule

The two test-time rules for dropout: weight scaling asks once, with every unit there
and scaled by its chance to be (Keras scales in training instead); Monte Carlo asks n
times and averages, and the spread says how unsure the net is. Everything but the
dropout-like layers, batch normalisation above all, works as in inference.
Srivastava et al. 2014, "Dropout", section 7.5; Gal & Ghahramani 2016, "Dropout as a
Bayesian approximation", arXiv:1506.02142.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import keras
import numpy as np

from keras_dlparts import backend
from keras_dlparts.analysis import dropping
from keras_dlparts.backend import feeding
from keras_dlparts.support.checks import check_count
from keras_dlparts.support.progress import bar


class MonteCarlo(NamedTuple):
    """What `monte_carlo` finds: arrays, in the structure of the model's outputs."""

    mean: Any
    std: Any
    weight_scaling: Any


def monte_carlo(
    model: keras.Model,
    x: Any,
    samples: int = 50,
    activation: str | Callable | None = None,
    layers: Sequence[str | keras.layers.Layer] | None = None,
    batch_size: int = 32,
    seed: int | None = None,
    verbose: Literal["auto", 0, 1] = "auto",
) -> MonteCarlo:
    """Mean and spread of a model's answers while its dropout-like layers drop.

    Every pass over a batch is compiled, as `predict` compiles it. All else works as
    in inference, and the model is left as it was: weights, moving averages, seeds.

    Dropout-like are Keras' dropout and noise layers, attention and recurrent layers
    with a dropout rate (their masks, in the loop too, are drawn once a pass), and
    every layer with the attribute `dropout_like = True`: `RandomDropout`,
    `StochasticDepth`, `MaskingNoise` and `SaltAndPepper` have it, a plugin's layer
    may. They are found in nested models and blocks too.

    Args:
        model: A built `keras.Model`: Sequential, Functional or a subclass.
        x: Inputs: an array, a dict or tuple of arrays, or batches, such as a
            `keras.utils.PyDataset` or a `tf.data.Dataset`.
        samples: Integer. How many passes.
        activation: What each pass' output goes through before it is averaged, such
            as `"softmax"` for a model that ends in logits.
        layers: Optional list of layers, or of their names, to sample instead of the
            dropout-like ones.
        batch_size: Integer. Where x is arrays.
        seed: Optional integer. The same seed and batches give the same answer.
        verbose: `"auto"` or 1 to report progress on standard error, 0 for silence.

    Returns:
        `(mean, std, weight_scaling)`, a named tuple of arrays like the outputs.
        `weight_scaling` is the answer of one pass without dropping.

    Example:

    >>> net = [keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    >>> model = keras.Sequential(net)
    >>> mean, std, scaled = monte_carlo(model, np.ones((3, 4)), samples=20, seed=1)
    >>> mean.shape, bool((std > 0).all())
    ((3, 1), True)
    """
    check_count("samples", samples)
    check_count("batch_size", batch_size)
    if seed is None:
        seed = random.getrandbits(32)
    found = dropping.find(model, layers)
    sampled, plain = (_Pass(model, these, activation) for these in (found, []))
    total = feeding.count(x, batch_size)
    answers = []
    passes = None if total is None else total * samples
    with bar("passes", passes, verbose) as step, backend.unmoved(model):
        dropping.reseed(model, seed)
        for batch in feeding.inputs(x, batch_size):
            moments = _moments(_passes(sampled, batch, samples, step))
            answers.append((*moments, plain.predict_on_batch(batch)))
    if not answers:
        raise ValueError("`x` must hold at least one sample. Received: none")
    return MonteCarlo(*(_joined(part) for part in zip(*answers, strict=True)))


class _Pass(keras.Model):
    """A model in inference, but for some layers that work as in training."""

    def __init__(self, net, layers, activation):
        super().__init__(name="pass")
        self.net = net
        self.dropping = layers
        self.activation = keras.activations.get(activation)
        self.run_eagerly = net.run_eagerly

    def call(self, inputs, training=False):
        with dropping.dropping(self.dropping):
            outputs = self.net(inputs)
        return keras.tree.map_structure(self.activation, outputs)


def _passes(sampled, batch, samples, step):
    for _ in range(samples):
        yield sampled.predict_on_batch(batch)
        step()


def _moments(passes):
    """(mean, std) over structures of arrays, by Welford's sums in float64."""
    n = 0
    for outputs in passes:
        n += 1
        flat = [np.asarray(y, "float64") for y in keras.tree.flatten(outputs)]
        if n == 1:
            means, squares = [0 * y for y in flat], [0 * y for y in flat]
        for i, y in enumerate(flat):
            off = y - means[i]
            means[i] = means[i] + off / n
            squares[i] = squares[i] + off * (y - means[i])
    deviations = [np.sqrt(square / n) for square in squares]
    return tuple(
        keras.tree.pack_sequence_as(outputs, [a.astype("float32") for a in arrays])
        for arrays in (means, deviations)
    )


def _joined(batches):
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
