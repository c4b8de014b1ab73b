"""LSUV as a callback: weights sized by the data, before the first step of a training.

What it does is `surgery.lsuv`: see there for the formula.
Mishkin & Matas 2016, "All you need is a good init", arXiv:1511.06422.
"""

from typing import Any

import numpy as np

from keras_dlparts import backend
from keras_dlparts.callbacks.data_callback import DataCallback
from keras_dlparts.data.source import Source
from keras_dlparts.support.checks import check_count, check_flag, check_number
from keras_dlparts.surgery.lsuv import lsuv

CASES = {
    "LSUV": (
        {
            "arguments": lambda folder: {
                "data": (
                    np.random.default_rng(0).normal(size=(8, 3)).astype("float32"),
                    np.ones((8, 1), "float32"),
                )
            }
        },
    )
}


class LSUV(DataCallback):
    """Gives all layers' pre-activations variance 1 on a batch, as training begins.

    For any model of Keras. It acts before the optimizer's first step only: a model that
    has been trained, and a run that is resumed, keep their weights.

    Args:
        orthogonal: Whether kernels are drawn anew first, orthogonal as in the paper. If
            not, only their sizes change.
        tolerance: Float, `> 0`. How far from 1 a variance may stay.
        rounds: Integer, `>= 1`. Passes over the batch at most.
        data: A batch `(x, y)`; an iterable of batches, a function that makes one, or a
            data source, of which the first batch is taken; or a split of the run's data
            by name. None for the run's training data, which `dlparts train` hands over
            and a plain `fit` does not.
        seed: Integer, for the orthogonal kernels.

    Example:

    >>> import keras
    >>> dense = [keras.layers.Dense(50, "relu") for _ in range(3)]
    >>> model = keras.Sequential([keras.Input((50,)), *dense])
    >>> model.compile(keras.optimizers.SGD(0.0), "mse")
    >>> x = np.random.default_rng(0).normal(size=(200, 50)).astype("float32")
    >>> _ = model.fit(x, x, verbose=0, callbacks=[LSUV(data=(x, x))])
    >>> u = keras.ops.matmul(keras.Sequential(dense[:2])(x), dense[2].kernel)
    >>> round(float(keras.ops.std(u)), 2)
    1.0
    """

    columns = ()

    def __init__(
        self,
        orthogonal: bool = True,
        tolerance: float = 0.05,
        rounds: int = 10,
        data: Source | str | Any | None = None,
        seed: int = 0,
    ):
        super().__init__(data)
        check_flag("orthogonal", orthogonal)
        check_number("tolerance", tolerance, above=0)
        self.orthogonal = orthogonal
        self.tolerance = tolerance
        self.rounds = check_count("rounds", rounds)
        self.seed = seed

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if backend.number(self.model.optimizer.iterations):
            return
        some = {"orthogonal": self.orthogonal, "tolerance": self.tolerance}
        lsuv(self.model, self.batch(0), rounds=self.rounds, seed=self.seed, **some)
