"""The KL penalty of sparse autoencoders, for activities between 0 and 1.

    r_j = mean_i a_ij                                    the mean activity of unit j
    penalty = weight sum_j rho log(rho / r_j) + (1 - rho) log((1 - rho) / (1 - r_j))

The mean over the batch comes first: each unit is to be on for a share rho of the
samples. Keras divides what an activity regularizer gives by the batch size, which is
right for sums over samples such as L1 but would make this penalty smaller the larger
the batch. So what is returned is the penalty times the batch size.
Shapes: a (batch, ..., units) -> ().
Ng 2011, "Sparse autoencoder", CS294A lecture notes.
"""

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.support.checks import check_number

CASES = {
    "SparsityKL": (
        {
            "arguments": {"rho": 0.1, "weight": 0.5},
            "slot": "activity_regularizer",
            "per_share": "the mean activity is that of each replica's share",
        },
    )
}
_SLACK = 1e-5  # what rounding may put an activity outside of [0, 1]
_TINY = 1e-6  # how near to 0 and 1 a mean activity counts


def sparsity_kl(r, rho):
    """sum_j KL(rho || r_j) of the mean activities r, shape `(units,)`."""
    r = ops.clip(r, _TINY, 1 - _TINY)
    return ops.sum(
        rho * ops.log(rho / r) + (1 - rho) * ops.log((1 - rho) / (1 - r)), axis=-1
    )


@keras.saving.register_keras_serializable("dlparts")
class SparsityKL(keras.regularizers.Regularizer):
    """Pulls the mean activity of each unit over the batch to `rho`.

    It is an `activity_regularizer` of any layer with activities in [0, 1], such as
    those of a sigmoid, and the `penalty` of `models.Autoencoder`. It adds the same
    loss whatever the batch size. On several replicas each takes the means of its share
    of the batch.

    Args:
        rho: Float between 0 and 1, the wanted mean activity.
        weight: Float, `>= 0`. What the penalty is multiplied by.

    Example:

    >>> import keras, numpy as np
    >>> layer = keras.layers.Dense(
    ...     3, "sigmoid", activity_regularizer=SparsityKL(0.1, weight=1.0)
    ... )
    >>> _ = layer(np.zeros((8, 2), "float32"))  # all activities are 1/2
    >>> round(float(layer.losses[0]), 4)  # 3 (0.1 log 0.2 + 0.9 log 1.8)
    1.1042
    """

    def __init__(self, rho: float = 0.05, weight: float = 1.0):
        check_number("rho", rho, above=0, below=1)
        check_number("weight", weight, least=0)
        self.rho = rho
        self.weight = weight

    def __call__(self, x):
        a = ops.cast(x, "float32")
        backend.require(
            ops.all(ops.abs(a - 0.5) <= 0.5 + _SLACK),
            "`SparsityKL` takes activities in [0, 1]: give the layer "
            "activation='sigmoid', or use keras.regularizers.L1",
            a,
        )
        r = ops.mean(a, axis=tuple(range(len(a.shape) - 1)))
        rows = ops.cast(ops.shape(a)[0], "float32")
        return self.weight * rows * sparsity_kl(r, self.rho)

    def get_config(self):
        return {"rho": self.rho, "weight": self.weight}
