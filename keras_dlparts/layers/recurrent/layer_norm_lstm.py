"""Layer-normalised LSTM.

    (i, f, g, o) = LN(W_x x; a_x) + LN(W_h h; a_h) + b       jointly over the 4 H gates
    c_t = s(f) c_{t-1} + s(i) tanh(g)                        carried un-normalised
    h_t = s(o) tanh(LN(c_t; a_c, b_c))

with LN(.; a) = a (. - mean) / sqrt(var + epsilon), s the logistic, gains a that start
at 1. One bias b serves both products: theirs would only add up. Shapes: x (batch,
time, features) -> h (batch, time, H), or the last one. Inference: the same, with the
mean of zoneout. Ba, Kiros & Hinton 2016, arXiv:1607.06450.
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
    "LayerNormLSTM": layer_cases,
    "LayerNormLSTMCell": cell_case,
}


class LSTMUnit:
    """The arithmetic of one step, for `run_loop`."""

    def __init__(self, units, epsilon, training, centred):
        how = {"centred": centred, "training": training}
        self.norm = backend.row_norm(epsilon, 4 * units, **how)
        self.state = backend.row_norm(epsilon, units, centred=False, training=training)
        self.kept = (self.norm.kept, self.norm.kept, self.state.kept)
        self.gradients = (4 * units, 4 * units)

    def ahead(self, q, bias, a_x, a_h, a_c, b_c):
        return self.norm(q, a_x, bias)

    def forward(self, from_x, p, states, bias, a_x, a_h, a_c, b_c):
        (from_x,), ((from_h,), p) = from_x, self.norm(p, a_h)
        i, f, g, o = self.gates(from_x + from_h)
        c = f * states[1] + i * g
        (y,), n = self.state(c, a_c, b_c)
        return (o * ops.tanh(y), c), (p, n)

    def gates(self, z):
        units = z.shape[-1] // 4
        i, f = ops.sigmoid(z[:, :units]), ops.sigmoid(z[:, units : 2 * units])
        return i, f, ops.tanh(z[:, 2 * units : -units]), ops.sigmoid(z[:, -units:])

    def backward(self, d_states, before, kept, bias, a_x, a_h, a_c, b_c):
        dh, dc = d_states
        q, p, n = kept
        (from_x,), (from_h,) = self.norm.again(q, a_x, bias), self.norm.again(p, a_h)
        i, f, g, o = self.gates(from_x + from_h)
        y = ops.tanh(self.state.again(n, a_c, b_c)[0])
        to_c, da_c, db_c = self.state.gradient([dh * o * (1 - y * y)], n, a_c)
        dc = dc + to_c
        dz = ops.concatenate(
            [
                dc * g * i * (1 - i),
                dc * before[1] * f * (1 - f),
                dc * i * (1 - g * g),
                dh * y * o * (1 - o),
            ],
            axis=-1,
        )
        dq, da_x, dbias = self.norm.gradient([dz], q, a_x)
        dp, da_h, _ = self.norm.gradient([dz], p, a_h, bias=False)
        vectors = (dbias, da_x, da_h, da_c, db_c)
        return (ops.zeros_like(dh), dc * f), vectors, (dq, dp)


@keras.saving.register_keras_serializable("dlparts")
class LayerNormLSTMCell(NormalisedCell, keras.layers.LSTMCell):
    """One step of a layer-normalised LSTM.

    `(i, f, g, o) = LN(W_x x) + LN(W_h h) + b`, `c' = s(f) c + s(i) tanh(g)`,
    `h' = s(o) tanh(LN(c'))`; the carried `c'` is not normalised.

    Args:
        units: Positive integer, dimensionality of the output.
        zoneout: Float, `0 <= zoneout < 1`. Chance that a unit keeps its old state
            in training; a cell of its own draws it once a sequence.
        epsilon: Float, added to the variances. Where a variance is below it, or
            below 1e-5 for a larger one, the gradient is that of a row which is
            centred and not divided. Without this it overflows over steps of zeros at
            the start of a sequence.
        *args, **kwargs: every argument of `keras.layers.LSTMCell`.

    Call arguments: `inputs` of shape `(batch, features)`, `states` as a list of two
    tensors `(batch, units)`, `training`.

    Output shape: `(batch, units)`, and the list of new states.

    Example:

    >>> import keras
    >>> layer = keras.layers.RNN(LayerNormLSTMCell(4))
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
        self.kernel_gain = self.add_gain("kernel_gain", 4 * self.units)
        self.recurrent_gain = self.add_gain("recurrent_gain", 4 * self.units)
        self.state_gain = self.add_gain("state_gain", self.units)
        self.state_bias = self.add_weight(
            shape=(self.units,), name="state_bias", initializer="zeros"
        )

    def call(self, inputs, states, training=False):
        inputs, noise = self.split_noise(inputs, training)
        h, c = states
        x, dropped = self.drop(inputs, h, training)
        H, epsilon = self.units, self.epsilon
        z = self.kernel_gain * normalise(ops.matmul(x, self.kernel), epsilon, 4 * H)
        product = ops.matmul(dropped, self.recurrent_kernel)
        z = z + self.recurrent_gain * normalise(product, epsilon, 4 * H)
        if self.use_bias:
            z = z + self.bias
        i, f, g, o = ops.split(z, 4, axis=-1)
        i, f, o = map(self.recurrent_activation, (i, f, o))
        new_c = f * c + i * self.activation(g)
        y = self.state_gain * normalise(new_c, epsilon, H) + self.state_bias
        new_h = o * self.activation(y)
        if self.zoneout:
            # In inference the noise is not touched: an exported graph would hold it.
            parts = (None, None) if not training else ops.split(noise, 2, axis=-1)
            new_h = zone_out(new_h, h, parts[0], self.zoneout, training)
            new_c = zone_out(new_c, c, parts[1], self.zoneout, training)
        return new_h, [new_h, new_c]


@keras.saving.register_keras_serializable("dlparts")
class LayerNormLSTM(NormalisedRNN, keras.layers.LSTM):
    """Layer-normalised LSTM; takes the place of `keras.layers.LSTM`.

    `(i, f, g, o) = LN(W_x x) + LN(W_h h) + b`, `c' = s(f) c + s(i) tanh(g)`,
    `h' = s(o) tanh(LN(c'))`; the carried `c'` is not normalised.

    Args:
        units: Positive integer, dimensionality of the output.
        zoneout: Float, `0 <= zoneout < 1`. Chance that a unit keeps its old state at
            a time step in training; inference takes the mean.
        epsilon: Float, added to the variances. Where a variance is below it, or
            below 1e-5 for a larger one, the gradient is that of a row which is
            centred and not divided. Without this it overflows over steps of zeros at
            the start of a sequence.
        *args, **kwargs: every argument of `keras.layers.LSTM`. `recurrent_dropout`
            has one mask a sequence, the same for all gates.

    Call arguments: those of `keras.layers.LSTM`: `sequences` of shape `(batch, time,
    features)`, `mask`, `training`, `initial_state`.

    Output shape: `(batch, units)`, or `(batch, time, units)` with
    `return_sequences`, and the two states with `return_state`.

    Example:

    >>> import keras
    >>> layer = LayerNormLSTM(4, return_sequences=True)
    >>> layer(keras.ops.ones((2, 10, 8))).shape == (2, 10, 4)
    True

    Reference: Ba et al. 2016, https://arxiv.org/abs/1607.06450; zoneout: Krueger et
    al. 2017, https://arxiv.org/abs/1606.01305
    """

    keras_class = keras.layers.LSTM
    keras_cell_class = keras.layers.LSTMCell
    cell_class = looped_cell_class = LayerNormLSTMCell
    unit_class = LSTMUnit

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
        bias = cell.bias if cell.use_bias else ops.zeros(4 * cell.units)
        weights = [cell.kernel, cell.recurrent_kernel, bias]
        weights += [cell.kernel_gain, cell.recurrent_gain]
        weights += [cell.state_gain, cell.state_bias]
        return weights
