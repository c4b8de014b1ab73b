"""Sparsity target: as many weights of a model are left as asked for.

    L       the weights that the layers have left, and would have after this epoch
    T       the target, `weights_left` times all their weights
    pull    force <- force clip(3 (log L/T) / (epochs to go) / (log before/L), 2/3, 3/2)
    end     once L <= T: the T weights of the largest |m_j| / s_j of all layers are
            left, and nothing is pulled or shut down any more

log before/L is the pace of the last epoch. The pull is changed so that log L/T falls as
the third power of the epochs to go until `until` of all: fast while there are many
weights to spare, and slowly at the end. See `layers.BayesianSparsityDropout` for m_j,
s_j and `force`.
"""

import math
import warnings

import keras
import numpy as np

from keras_dlparts import backend, graphs
from keras_dlparts.layers.sparsity.bayesian_sparsity_dropout import (
    BayesianSparsityDropout,
)
from keras_dlparts.layers.sparsity.weights_left import counts_of
from keras_dlparts.support.checks import check_number

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
_POWER = 3
_MOST = 1.5  # what an epoch multiplies or divides the pull by


def next_force(force, before, now, target, epochs):
    """How hard to pull, so that `target` weights are left after so many epochs."""
    needed = _POWER * math.log(now / target) / max(epochs, 1)
    pace = math.log(before / now)
    factor = needed / pace if pace > 0 else _MOST
    return force * min(max(factor, 1 / _MOST), _MOST)


class SparsityTarget(keras.callbacks.Callback):
    """Steers all `BayesianSparsityDropout` layers of a model to a fraction of weights.

    The layers share the target: which of them gives up how many weights is up to the
    data. The pull on the weights is changed after each epoch, from that of the layers'
    `strength`, until so few weights are left. From there on no weight is pulled or shut
    down, and those that are left settle. That the target was not reached in training is
    warned of.

    Args:
        weights_left: Float, `0 < weights_left < 1`. The fraction of the weights of all
            these layers together that is to be left.
        until: Float, `0 < until <= 1`. After which share of the epochs the target is to
            be reached. The rest is for what is left to settle.

    Example:

    >>> from keras_dlparts.layers import BayesianSparsityDropout
    >>> layer = BayesianSparsityDropout(keras.layers.Dense(1), warmup=5, ramp=5, seed=0)
    >>> model = keras.Sequential([keras.Input((20,)), layer])
    >>> model.compile(keras.optimizers.Adam(0.05), "mse")
    >>> x = np.random.default_rng(0).normal(size=(512, 20))
    >>> y = x[:, 0] - x[:, 1] + 0.5 * x[:, 2]
    >>> target = SparsityTarget(0.15)
    >>> _ = model.fit(x, y, epochs=40, verbose=0, callbacks=[target])
    >>> layer.counts()
    (3, 20)
    """

    def __init__(self, weights_left: float, until: float = 0.5):
        super().__init__()
        check_number("weights_left", weights_left, above=0, below=1)
        check_number("until", until, above=0, most=1)
        self.weights_left = weights_left
        self.until = until

    def _layers(self):
        found = graphs.layers(self.model)
        return [one for one in found if isinstance(one, BayesianSparsityDropout)]

    def on_train_begin(self, logs=None):
        if not self._layers():
            raise ValueError(
                "`SparsityTarget` steers `BayesianSparsityDropout` layers. Received: "
                f"the model {self.model.name!r}, which has none"
            )

    def on_epoch_end(self, epoch, logs=None):
        layers = self._layers()
        found = (layer.ratios() for layer in layers)
        ratios = [ratio for ratio in found if ratio is not None]
        forces = [backend.number(layer.force) for layer in layers]
        if len(ratios) < len(layers) or not any(forces):
            return
        before, weights = counts_of(layers)
        target = self._target(weights)
        now = sum(
            np.count_nonzero(ratio >= layer.level)
            for layer, ratio in zip(layers, ratios, strict=True)
        )
        if now <= target:
            every = np.concatenate([ratio.ravel() for ratio in ratios])
            least = np.sort(every)[-target]
            for layer, ratio in zip(layers, ratios, strict=True):
                layer.settle((ratio >= least) & (ratio > 0))
            return
        ahead = self.until * self.params["epochs"] - (epoch + 1)
        for layer, force in zip(layers, forces, strict=True):
            layer.force.assign(next_force(force, before, now, target, ahead))

    def on_train_end(self, logs=None):
        left, weights = counts_of(self._layers())
        if left > self._target(weights):
            warnings.warn(
                f"`SparsityTarget` did not reach its target: {left / weights:.2%} of "
                f"the weights are left, not {self.weights_left:.2%}. Train for more "
                "epochs, or give the layers a higher `strength`",
                stacklevel=2,
            )

    def _target(self, weights):
        """How many of the weights are to be left, one at least."""
        return max(1, round(self.weights_left * weights))
