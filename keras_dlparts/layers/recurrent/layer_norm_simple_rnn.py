"""Layer-normalised simple recurrence.

    y = W_x x + W_h h
    h_t = f(a (y - mean(y)) / sqrt(var(y) + epsilon) + b)

over the H units, gain a from 1. Shapes: x (batch, time, features) -> h (batch, time,
H), or the last one. Inference: the same, with the mean of zoneout.
Ba, Kiros & Hinton 2016, arXiv:1607.06450.
"""

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.recurrent.layer_norm_recurrent import (
    NormalisedCell,
    NormalisedRNN,
    cell_case,
    layer_cases,
    normalise,
    zone_out,
)

CASES = {
    "LayerNormSimpleRNN": layer_cases,
    "LayerNormSimpleRNNCell": cell_case,
}


class SimpleUnit:
    """The arithmetic of one step, for `run_loop`."""

    def __init__(self, units, epsilon, training, centred):
        how = {"centred": centred, "training": training}
        self.norm = backend.row_norm(epsilon, units, **how)
        self.kept = (self.norm.kept,)
        self.gradients = (units,)  # of q + p, so of both

    def ahead(self, q, bias, gain):
        return (q,), ()

    def forward(self, from_x, p, states, bias, gain):
        (y,), n = self.norm(from_x[0] + p, gain, bias)
        return (ops.tanh(y),), (n,)

    def backward(self, d_states, before, kept, bias, gain):
        (dh,), (n,) = d_states, kept
        h = ops.tanh(self.norm.again(n, gain, bias)[0])
        dp, dgain, dbias = self.norm.gradient([dh * (1 - h * h)], n, gain)
        return (ops.zeros_like(dh),), (dbias, dgain), (dp,)


@keras.saving.register_keras_serializable("dlparts")
class LayerNormSimpleRNNCell(NormalisedCell, keras.layers.SimpleRNNCell):
    """One step of a layer-normalised simple recurrence.

    `h' = f(LN(W_x x + W_h h))`, with a gain and a bias.

    Args:
        units: Positive integer, dimensionality of the output.
        zoneout: Float, `0 <= zoneout < 1`. Chance that a unit keeps its old state
            in training; a cell of its own draws it once a sequence.
        epsilon: Float, added to the variances. Where a variance is below it, or
            below 1e-5 for a larger one, the gradient is that of a row which is
            centred and not divided. Without this it overflows over steps of zeros at
            the start of a sequence.
        *args, **kwargs: every argument of `keras.layers.SimpleRNNCell`.

    Call arguments: `sequence` of shape `(batch, features)`, `states` as a list of
    one tensor `(batch, units)`, `training`.

    Output shape: `(batch, units)`, and the list of new states.

    Example:

    >>> import keras
    >>> layer = keras.layers.RNN(LayerNormSimpleRNNCell(4))
    >>> layer(keras.ops.ones((2, 10, 8))).shape == (2, 4)
    True

    Reference: Ba et al. 2016, https://arxiv.org/abs/1607.06450
    """

    def __init__(
        self,
        units: int,
        *args,
        zoneout: float = 0.0,
        epsilon: float = 1e-5,
        **kwargs,
    ):
        super().__init__(units, *args, **kwargs)
        self._configure(zoneout, epsilon)

    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_gain("gain", self.units)

    def call(self, sequence, states, training=False):
        sequence, noise = self.split_noise(sequence, training)
        (h,) = keras.tree.flatten(states)
        x, dropped = self.drop(sequence, h, training)
        y = ops.matmul(x, self.kernel) + ops.matmul(dropped, self.recurrent_kernel)
        y = self.gain * normalise(y, self.epsilon, self.units)
        if self.use_bias:
            y = y + self.bias
        new = zone_out(self.activation(y), h, noise, self.zoneout, training)
        return new, [new] if keras.tree.is_nested(states) else new


@keras.saving.register_keras_serializable("dlparts")
class LayerNormSimpleRNN(NormalisedRNN, keras.layers.SimpleRNN):
    """Layer-normalised recurrence; takes the place of `keras.layers.SimpleRNN`.

    `h' = f(LN(W_x x + W_h h))`, with a gain and a bias.

    Args:
        units: Positive integer, dimensionality of the output.
        zoneout: Float, `0 <= zoneout < 1`. Chance that a unit keeps its old state at
            a time step in training; inference takes the mean.
        epsilon: Float, added to the variances. Where a variance is below it, or
            below 1e-5 for a larger one, the gradient is that of a row which is
            centred and not divided. Without this it overflows over steps of zeros at
            the start of a sequence.
        *args, **kwargs: every argument of `keras.layers.SimpleRNN`.

    Call arguments: those of `keras.layers.SimpleRNN`: `sequences` of shape `(batch,
    time, features)`, `mask`, `training`, `initial_state`.

    Output shape: `(batch, units)`, or `(batch, time, units)` with
    `return_sequences`, and the state with `return_state`.

    Example:

    >>> import keras
    >>> layer = LayerNormSimpleRNN(4, return_sequences=True)
    >>> layer(keras.ops.ones((2, 10, 8))).shape == (2, 10, 4)
    True

    Reference: Ba et al. 2016, https://arxiv.org/abs/1607.06450; zoneout: Krueger et
    al. 2017, https://arxiv.org/abs/1606.01305
    """

    keras_class = keras.layers.SimpleRNN
    keras_cell_class = keras.layers.SimpleRNNCell
    cell_class = looped_cell_class = LayerNormSimpleRNNCell
    unit_class = SimpleUnit

    def __init__(
        self,
        units: int,
        *args,
        zoneout: float = 0.0,
        epsilon: float = 1e-5,
        **kwargs,
    ):
        self._begin((units, *args), kwargs, zoneout=zoneout, epsilon=epsilon)

    def loop_weights(self):
        cell = self.cell
        bias = cell.bias if cell.use_bias else ops.zeros(cell.units)
        return [cell.kernel, cell.recurrent_kernel, bias, cell.gain]
