"""Sparsity target: as many weights of a model are left as asked for.

    N        the weights of all sparse layers
    N_e      N f^min(1, e / (until E))     left after epoch e of E, f = `weights_left`
    score    |m_j| v_j^(1/4)               of a weight, v_j its mean squared gradient
             |m_j| / s_j                   with an optimizer that keeps no v_j

After each epoch the N_e weights of the highest score stay, over all layers together,
and the rest is shut down for good. m_j is the mean of the weight over the epoch and s_j
its spread, see `layers.BayesianSparsityDropout`. Of whole units those of the least mean
squared score go, until at most N_e weights are left, see `whole_units`.

Without a weight the loss changes by about w_j^2 h_j / 2 (LeCun, Denker & Solla 1990,
"Optimal brain damage"), and v_j stands for the curvature h_j, as in Fisher's
information. That would be |m_j| v_j^(1/2); the score is the geometric mean of it and of
the size |m_j| alone, which left the smaller errors on MNIST.
"""

import math
import warnings

import keras
import numpy as np
from keras import ops

from keras_dlparts import graphs
from keras_dlparts.backend import keras_private
from keras_dlparts.callbacks.whole_units import links_between, without_units
from keras_dlparts.layers.sparsity.bayesian_sparsity_dropout import (
    BayesianSparsityDropout,
)
from keras_dlparts.layers.sparsity.weights_left import counts_of
from keras_dlparts.optimizers.wrapping import wrapped_in
from keras_dlparts.support.checks import check_flag, check_number

CASES = {
    "SparsityTarget": (
        {
            "arguments": {"weights_left": 0.99},
            "works_on": lambda: BayesianSparsityDropout(
                keras.layers.Dense(4), warmup=1, ramp=1, strength=0.0, every=1, seed=0
            ),
        },
    )
}


class SparsityTarget(keras.callbacks.Callback):
    """Leaves a fraction of the weights of a model's `BayesianSparsityDropout` layers.

    After each epoch the weights that matter least are shut down, so many that the
    weights left fall by the same factor in each epoch. The layers share the target:
    which of them gives up how many weights is up to the data. From the last cut on the
    weights that are left settle.

    A frozen layer keeps its weights and has no part in the target.

    The layers' prior does not pull and shuts nothing down meanwhile: their `strength`,
    `prior` and `level` do not count. With Adam and its kin or RMSprop the choice is by
    the size of a weight and of its gradients; with other optimizers by the size and the
    spread of the weight.

    A model of fewer weights is not faster, one of fewer units is: with `whole_units` a
    unit goes with all its weights, those that read it included, and `compact` takes it
    out. As a unit goes whole, somewhat fewer weights may be left than asked for.

    Args:
        weights_left: Float, `0 < weights_left < 1`. The fraction of the weights of all
            these layers together, but for frozen ones, that is to be left.
        until: Float, `0 < until <= 1`. After which share of the epochs the target is
            reached. The rest is for what is left to settle.
        whole_units: Whether whole units are shut down: those between two of these
            layers that `compact` can take out, in a Sequential or Functional model.

    Example:

    >>> from keras_dlparts.layers import BayesianSparsityDropout
    >>> layer = BayesianSparsityDropout(keras.layers.Dense(1), seed=0)
    >>> model = keras.Sequential([keras.Input((20,)), layer])
    >>> model.compile(keras.optimizers.Adam(0.05), "mse")
    >>> x = np.random.default_rng(0).normal(size=(512, 20))
    >>> y = x[:, 0] - x[:, 1] + 0.5 * x[:, 2]
    >>> target = SparsityTarget(0.15)
    >>> _ = model.fit(x, y, epochs=20, verbose=0, callbacks=[target])
    >>> [int(j) for j in np.flatnonzero(layer.posterior_kernel())]
    [0, 1, 2]
    """

    def __init__(
        self, weights_left: float, until: float = 0.5, whole_units: bool = False
    ):
        super().__init__()
        check_number("weights_left", weights_left, above=0, below=1)
        check_number("until", until, above=0, most=1)
        check_flag("whole_units", whole_units)
        self.weights_left = weights_left
        self.until = until
        self.whole_units = whole_units
        self._layers, self._links = [], []

    def on_train_begin(self, logs=None):
        self._layers = [
            layer
            for layer in graphs.layers(self.model)
            if isinstance(layer, BayesianSparsityDropout) and layer.learns
        ]
        if not self._layers:
            raise ValueError(
                "`SparsityTarget` works on `BayesianSparsityDropout` layers that are "
                f"trainable. Received: the model {self.model.name!r}, which has none"
            )
        unbuilt = [layer.name for layer in self._layers if not layer.built]
        if unbuilt:
            raise ValueError(
                "`SparsityTarget` needs a model that is built before its first step. "
                f"Received: the model {self.model.name!r}, whose layer {unbuilt[0]!r} "
                "is not; let the model begin with an `Input`, or call it once"
            )
        if self.whole_units:
            self._links = links_between(self.model, self._layers)
            if not self._links:
                raise ValueError(
                    "`whole_units` needs two `BayesianSparsityDropout` layers between "
                    "which `keras_dlparts.compact` can take units out. Received: the "
                    f"model {self.model.name!r}, which has none such; leave "
                    "`whole_units` out"
                )
        for layer in self._layers:
            layer.force.assign(0.0)

    def on_epoch_end(self, epoch, logs=None):
        left, weights = counts_of(self._layers)
        past = (epoch + 1) / (self.until * self.params["epochs"])
        stay = _at_least_one(self.weights_left ** min(past, 1.0), weights)
        if left <= stay:
            return
        scores = self._scores()
        if self.whole_units:
            kept = without_units(self._links, self._layers, scores, stay)
        else:
            kept = _highest(scores, stay)
        for layer, one in zip(self._layers, kept, strict=True):
            layer.keep_only(one)

    def _scores(self):
        """How much each weight matters, an array a layer; -1 for what is shut down."""
        *_, optimizer = wrapped_in(self.model.optimizer)
        scores = []
        for layer in self._layers:
            mean, spread = layer.moments()
            square = keras_private.mean_squared_gradient(optimizer, layer.written())
            if square is None:
                score = np.abs(mean) / spread
            else:
                score = np.abs(mean) * ops.convert_to_numpy(square) ** 0.25
            scores.append(np.where(ops.convert_to_numpy(layer.keep) > 0, score, -1.0))
        return scores

    def on_train_end(self, logs=None):
        left, weights = counts_of(self._layers)
        if left > _at_least_one(self.weights_left, weights):
            epochs = self.params["epochs"]
            warnings.warn(
                f"`SparsityTarget` did not reach its target: {left / weights:.2%} of "
                f"the weights are left, not {self.weights_left:.2%}. Training ended "
                f"before epoch {math.ceil(self.until * epochs)} of {epochs}",
                stacklevel=2,
            )


def _highest(scores, stay):
    """Where the `stay` highest scores of all layers together are."""
    flat = np.concatenate([score.ravel() for score in scores])
    chosen = np.zeros(flat.size, bool)
    chosen[np.argpartition(flat, -stay)[-stay:]] = True
    ends = np.cumsum([score.size for score in scores])[:-1]
    parts = zip(np.split(chosen, ends), scores, strict=True)
    return [part.reshape(score.shape) for part, score in parts]


def _at_least_one(fraction, weights):
    return max(1, round(fraction * weights))
