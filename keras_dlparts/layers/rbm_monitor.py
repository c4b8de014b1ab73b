"""What the logs say of a restricted Boltzmann machine beside its loss.

    free energy             mean F(v)
    reconstruction error    mean (v - E[v given E[h given v]])^2
    pseudo-likelihood       mean n log p(v_i given the others), one unit i a row

All are means over the rows of an epoch that were looked at.
"""

import keras
from keras import ops

from keras_dlparts.layers import boltzmann


class Monitor(keras.metrics.Metric):
    """Reads `sums` that the layer adds to: three figures, and how many rows.

    The layer adds, not the metric: on JAX what a `call` tells a metric is lost. There
    the logs of single batches have the figures of the epoch before.
    """

    def __init__(self, sums, visible):
        super().__init__(name="rbm")
        self.sums = sums
        self.names = ["free_energy", "reconstruction_error"]
        if visible == "bernoulli":
            self.names.append("pseudo_likelihood")
        self.before = self.add_variable((4,), "zeros", dtype="float32", name="before")

    def note(self, layer, v, x, W, b, c, noise=0.0):
        """Add the figures of some rows; returns the validation loss of these."""
        rows, units = ops.shape(v)[0], v.shape[1]
        y = boltzmann.to_visible(boltzmann.hidden_mean(x, layer.hidden), W, b)
        error = ops.cast(v, "float32") - boltzmann.visible_mean(y, layer.visible)
        figures = [
            ops.sum(boltzmann.free_energy(v, x, b, layer.visible, layer.hidden)),
            ops.sum(ops.square(error)) / units,
            ops.zeros(()),
        ]
        loss = figures[1]
        if layer.visible == "bernoulli":
            chosen = boltzmann.units_to_flip(noise, rows, units)
            change = boltzmann.flip_difference(v, x, W, b, chosen, layer.hidden)
            figures[2] = ops.sum(boltzmann.pseudo_log_likelihood(change, units))
            loss = -figures[2]
        count = ops.cast(rows, "float32")
        self.sums.add(ops.stack([*figures, count]))
        return loss / count

    def update_state(self, *args, **kwargs):
        """Nothing: the layer notes the figures."""

    def result(self):
        sums = self.sums.read(self.before)
        means = sums / ops.maximum(sums[3], 1.0)
        return {name: means[i] for i, name in enumerate(self.names)}

    def reset_state(self):
        self.before.assign(self.sums.state)
        self.sums.reset()
