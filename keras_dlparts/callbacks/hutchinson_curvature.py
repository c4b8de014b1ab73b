"""The diagonal of the Hessian, estimated every few steps of training.

    v_j ~ -1 or 1, equally likely        D = v * (H v)        E[D] = diag(H)

since E[v_i v_j] = [i = j]. H v is the product with the Hessian of the training loss on
the batch of the step at hand, in training mode: a few gradients' work, and no matrix.
Where H is diagonal one draw is exact; else entry i has the variance
sum_{j != i} H_ij^2, and the mean of `draws` has that divided by their number.

Hutchinson 1990, "A stochastic estimator of the trace of the influence matrix";
Bekas et al. 2007, "An estimator for the diagonal of a matrix".
"""

from typing import Any

import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.callbacks.measuring import Measuring
from keras_dlparts.data.source import Source
from keras_dlparts.optimizers.wrapping import wrapped_in
from keras_dlparts.support.checks import check_count

CASES = {
    "HutchinsonCurvature": (
        {
            "skip": "it works with an optimizer that has `update_curvature` only; "
            "tests/callbacks trains it with DiagonalNewton"
        },
    )
}


def diagonal(product, signs):
    """The estimate from several draws: the mean of v * (H v), a list of arrays.

    Args:
        product: Function `v -> H v` of lists of arrays.
        signs: List of draws; a draw is a list of arrays of -1 and 1.
    """
    estimates = [
        [v * h for v, h in zip(draw, product(draw), strict=True)] for draw in signs
    ]
    return [sum(parts) / len(parts) for parts in zip(*estimates, strict=True)]


class HutchinsonCurvature(Measuring):
    """Gives an optimizer such as `DiagonalNewton` the diagonal of the Hessian.

    It measures on the batch of the step at hand, which `dlparts train` hands over.
    With a plain `fit` give a batch: Keras shows callbacks none. The optimizer must
    have `update_curvature(diagonal)`, itself or inside wrappers; the model, its random
    draws and moving averages stay as they are. What is drawn depends on `seed` and on
    how many estimates the optimizer has had, so a loaded model goes on as if it had
    never stopped.

    Args:
        every: Integer, `>= 1`. Estimate at each `every`-th step; and before the first
            one, if the optimizer has no estimate yet.
        draws: Integer, `>= 1`. How many draws of v an estimate is the mean of.
        data: What to measure on: a batch `(x, y)` or `(x, y, sample_weight)`; a
            `tf.data.Dataset`, `DataLoader`, `PyDataset` or other iterable of batches,
            or a function that makes one; a data source; or a split of the run's data
            by name. None for the batch of the step, which `dlparts train` hands over
            and a plain `fit` does not.
        seed: Integer, `>= 0`.

    Example:

    >>> import keras
    >>> from keras_dlparts.optimizers import DiagonalNewton
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile(DiagonalNewton(), "mse")
    >>> x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    >>> curvature = HutchinsonCurvature(every=2, data=(x, y))
    >>> _ = model.fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=[curvature])
    >>> int(model.optimizer.estimates)  # at steps 0, 2, 4, 6
    4
    """

    def __init__(
        self,
        every: int = 10,
        draws: int = 1,
        data: Source | str | Any | None = None,
        seed: int = 0,
    ):
        super().__init__(every, data)
        self.draws = check_count("draws", draws)
        self.seed = check_count("seed", seed, least=0)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._optimizer = taker(self.model.optimizer)
        self._curvature = None
        self.past = int(self._optimizer.iterations.numpy())
        fresh = not (self._optimizer.built and int(self._optimizer.estimates.numpy()))
        self.next = self.past if fresh else -(-self.past // self.every) * self.every

    def following(self, step):
        return (step // self.every + 1) * self.every

    def on_train_batch_begin(self, batch, logs=None):
        if not self.due(batch):
            return
        # Inside `unmoved`: it brings JAX' variables up to date first, and puts back
        # what a product moves, which is a training pass.
        with backend.unmoved(self.model):
            self._optimizer.build(self.model.trainable_variables)
            data = self.data_of(batch)
            if self._curvature is None:
                self._curvature = backend.curvature_function(self.model)
            estimate = diagonal(
                lambda draw: [
                    ops.convert_to_numpy(h) for h in self._curvature(draw, *data)[2]
                ],
                self._signs(int(self._optimizer.estimates.numpy())),
            )
            self._optimizer.update_curvature(estimate)

    def _signs(self, count):
        """The draws of estimate number `count`."""
        random = np.random.default_rng((self.seed, count))
        return [
            [
                random.choice(np.array([-1, 1], "float32"), v.shape)
                for v in self.model.trainable_variables
            ]
            for _ in range(self.draws)
        ]


def taker(optimizer):
    """The optimizer that takes a curvature: this one, or one that it wraps."""
    for inner in wrapped_in(optimizer):
        if callable(getattr(inner, "update_curvature", None)):
            return inner
    raise ValueError(
        "HutchinsonCurvature needs an optimizer with `update_curvature(diagonal)`, "
        f"such as DiagonalNewton. Received: {type(optimizer).__name__}"
    )
