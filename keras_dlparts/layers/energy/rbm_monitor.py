"""What the logs say of a restricted Boltzmann machine beside its loss.

    free energy             mean F(v)
    reconstruction error    mean (v - E[v given E[h given v]])^2
    pseudo-likelihood       mean n log p(v_i given the others), one unit i a row

All are means over the rows of an epoch that were looked at. In a validation the units
i go on from batch to batch, so that they do not depend on the batch size.
"""

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy import boltzmann

_EVERY = 4
_ROWS = 32


class Means(keras.metrics.Metric):
    """Reads `sums` that a layer adds to: its figures, and at `rows` how many rows.

    The layer adds, not the metric: on JAX what a layer's `call` tells a metric is lost.
    There the logs of single batches have the figures of the epoch before.
    """

    def __init__(self, sums, names, rows, name):
        super().__init__(name=name)
        self.sums = sums
        self.names = names
        self.rows = rows
        size = sums.state.shape
        self.before = self.add_variable(size, "zeros", dtype="float32", name="before")

    def update_state(self, *args, **kwargs):
        """Nothing: the layer notes the figures."""

    def units_to_flip(self, rows, visible_units):
        """A visible unit for each of the next rows of a pass.

        The sequence goes on where the last batch ended. The replicas of a strategy
        each have one of their own.
        """
        replica, count = backend.replica()
        turn = ops.cast(replica, "float32") / count
        before = self.sums.state[self.rows]
        return boltzmann.units_to_flip(before, turn, rows, visible_units)

    def result(self):
        sums = self.sums.read(self.before)
        means = sums / ops.maximum(sums[self.rows], 1.0)
        return {name: means[i] for i, name in enumerate(self.names)}

    def reset_state(self):
        self.before.assign(self.sums.state)
        self.sums.reset()


class Monitor(Means):
    """Reads three figures, the number of rows, and the number of batches."""

    def __init__(self, sums, visible):
        names = ["free_energy", "reconstruction_error"]
        if visible == "bernoulli":
            names.append("pseudo_likelihood")
        super().__init__(sums, names, rows=3, name="rbm")

    def note(self, layer, v, x, W, b, c):
        """Add the figures of all rows; returns their validation loss."""
        chosen = self.units_to_flip(ops.shape(v)[0], v.shape[1])
        figures = self.figures(layer, v, x, W, b, c, chosen)
        self.sums.add(figures)
        loss = -figures[2] if layer.visible == "bernoulli" else figures[1]
        return loss / figures[3]

    def sample(self, layer, v, x, W, b, c, noise):
        """Add the figures of a few rows of every fourth batch, for they cost time."""

        def yes():
            few = v[:_ROWS]
            chosen = boltzmann.units_to_flip(0, noise, ops.shape(few)[0], v.shape[1])
            return self.figures(layer, few, x[:_ROWS], W, b, c, chosen)

        batch = self.sums.state[4]
        due = ops.equal(batch % _EVERY, 0)
        figures = backend.cond(due, yes, lambda: ops.zeros((5,), "float32"))
        self.sums.add(figures + ops.one_hot(4, 5, dtype="float32") * (1 - figures[4]))

    def figures(self, layer, v, x, W, b, c, chosen):
        """Sums over the rows of the three figures, how many rows, and 1 batch.

        `chosen` names the visible unit of each row that the pseudo-likelihood flips.
        """
        rows, units = ops.shape(v)[0], v.shape[1]
        y = boltzmann.to_visible(boltzmann.hidden_mean(x, layer.hidden), W, b)
        error = ops.cast(v, "float32") - boltzmann.visible_mean(y, layer.visible)
        energy = boltzmann.free_energy(v, x, b, layer.visible, layer.hidden)
        likelihood = ops.zeros((), "float32")
        if layer.visible == "bernoulli":
            change = boltzmann.flip_difference(v, x, W, b, chosen, layer.hidden)
            likelihood = ops.sum(boltzmann.pseudo_log_likelihood(change, units))
        return ops.stack(
            [
                ops.sum(energy),
                ops.sum(ops.square(error)) / units,
                likelihood,
                ops.cast(rows, "float32"),
                ops.ones((), "float32"),
            ]
        )
