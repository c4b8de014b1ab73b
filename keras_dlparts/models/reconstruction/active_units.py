"""How many units of a variational code say something of the input.

    A_j = Var_x(E[z_j given x]),   active: A_j > 0.01

A unit whose mean is the same for all inputs has collapsed to the prior.
Burda et al. 2016, "Importance weighted autoencoders", arXiv:1509.00519.
"""

import keras
from keras import ops

_LEAST = 0.01


class ActiveUnits(keras.metrics.Metric):
    """Counts units by the variance of their means over an epoch.

    Args:
        units: Integer, the size of the code.
    """

    def __init__(self, units, name="active_units"):
        super().__init__(name=name, dtype="float32")
        self.rows = self.add_variable((), "zeros", name="rows")
        self.sums = self.add_variable((units,), "zeros", name="sums")
        self.squares = self.add_variable((units,), "zeros", name="squares")

    def update_state(self, means):
        """Args: means: E[z given x], shape `(batch, units)`."""
        means = ops.cast(means, "float32")
        self.rows.assign(self.rows + ops.cast(ops.shape(means)[0], "float32"))
        self.sums.assign(self.sums + ops.sum(means, axis=0))
        self.squares.assign(self.squares + ops.sum(ops.square(means), axis=0))

    def result(self):
        rows = ops.maximum(self.rows, 1.0)
        variance = self.squares / rows - ops.square(self.sums / rows)
        return ops.sum(ops.cast(variance > _LEAST, "float32"))
