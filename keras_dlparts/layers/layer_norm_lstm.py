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
from keras_dlparts.layers.layer_norm_recurrent import (
    Groups,
    NormalisedCell,
    NormalisedRNN,
    as_float32,
    before,
    cell_case,
    layer_cases,
    normalise,
    only_first,
    outer,
    product,
    zone_out,
)

CASES = {
    "LayerNormLSTM": layer_cases,
    "LayerNormLSTMCell": cell_case,
}


def lstm_loop(x, h, c, weights, epsilon, training):
    """(h of all times, last c) over x (time, batch, features).

    In training the gradient is written by hand: a loop back over the steps for what
    depends on the step after, and one matrix product a matrix over all of them.
    What one step needs stays in the processor's cache, so the input's product is
    made inside the loop too; made before it, it was slower.
    """
    units, dtype = h.shape[-1], x.dtype
    gates, state = Groups(4 * units), Groups(units)

    def make_step(kernel, recurrent_kernel, bias, a_x, a_h, a_c, b_c):
        def step(carry, slices):
            h, c = carry
            q, q_scale = gates.scale(product(slices[0], kernel), epsilon)
            p, p_scale = gates.scale(product(h, recurrent_kernel), epsilon)
            z = a_x * q + a_h * p + bias
            i, f = ops.sigmoid(z[:, :units]), ops.sigmoid(z[:, units : 2 * units])
            g, o = ops.tanh(z[:, 2 * units : -units]), ops.sigmoid(z[:, -units:])
            c = f * c + i * g
            n, n_scale = state.scale(state.centre(c), epsilon)
            y = ops.tanh(a_c * n + b_c)
            h = o * y
            return (h, c), (h, c, q, q_scale, p, p_scale, i, f, g, o, n, n_scale, y)

        return step

    def centred(kernel, recurrent_kernel, *vectors):
        kernels = gates.centre(kernel), gates.centre(recurrent_kernel)
        return *(ops.cast(k, dtype) for k in kernels), *vectors

    def forward(x, h, c, *weights):
        weights = centred(*weights)
        one, four = (4 * units, 1), (units,) * 4
        widths = (units, units, *one, *one, *four, units, 1, units)
        carry, kept = backend.scan(make_step(*weights), (h, c), (x,), widths)
        hs, cs, *rest = kept
        return (hs, carry[1]), (x, before(h, hs), before(c, cs), rest, weights)

    def backward(saved, upstream):
        x, h_before, c_before, rest, weights = saved
        kernel, recurrent_kernel, bias, a_x, a_h, a_c, b_c = weights
        across = ops.transpose(recurrent_kernel)

        def step(carry, slices):
            dh, dc, *sums = carry
            dh_t, c, q, q_scale, p, p_scale, i, f, g, o, n, n_scale, y = slices
            dh = dh + dh_t
            dy = dh * o * (1 - y * y)
            dc = dc + state.gradient(state.centre(dy * a_c), n, n_scale)
            dz = ops.concatenate(
                [
                    dc * g * i * (1 - i),
                    dc * c * f * (1 - f),
                    dc * i * (1 - g * g),
                    dh * y * o * (1 - o),
                ],
                axis=-1,
            )
            dq = gates.gradient(dz * a_x, q, q_scale)
            dp = gates.gradient(dz * a_h, p, p_scale)
            sums = [
                s + ops.sum(d, axis=0)
                for s, d in zip(sums, (dz, dz * q, dz * p, dy * n, dy), strict=True)
            ]
            return (product(dp, across), dc * f, *sums), (dq, dp)

        dhs, dc = upstream
        vectors = [ops.zeros_like(v) for v in (bias, a_x, a_h, a_c, b_c)]
        carry, (dq, dp) = backend.scan(
            step,
            (ops.zeros_like(dc), dc, *vectors),
            (dhs, c_before, *rest),
            (4 * units, 4 * units),
            reverse=True,
        )
        dh, dc, *sums = carry
        dx = ops.matmul(ops.cast(dq, dtype), ops.transpose(kernel))
        dkernel = gates.centre(outer(x, dq, dtype))
        drecurrent = gates.centre(outer(h_before, dp, dtype))
        return dx, dh, dc, dkernel, drecurrent, *sums

    if training:
        return backend.with_gradient(forward, backward)(x, h, c, *weights)
    step = only_first(make_step(*centred(*weights)))
    (_, c), (hs,) = backend.scan(step, (h, c), (x,), (units,))
    return hs, c


@keras.saving.register_keras_serializable("dlparts")
class LayerNormLSTMCell(NormalisedCell, keras.layers.LSTMCell):
    """One step of a layer-normalised LSTM.

    `(i, f, g, o) = LN(W_x x) + LN(W_h h) + b`, `c' = s(f) c + s(i) tanh(g)`,
    `h' = s(o) tanh(LN(c'))`; the carried `c'` is not normalised.

    Args:
        units: Positive integer, dimensionality of the output.
        zoneout: Float, `0 <= zoneout < 1`. Chance that a unit keeps its old state
            in training; a cell of its own draws it once a sequence.
        epsilon: Float, added to the variances.
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

    def __init__(self, units, *args, zoneout=0.0, epsilon=1e-5, **kwargs):
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
        inputs, noise = self.split_noise(inputs)
        h, c = states
        x, dropped = self.drop(inputs, h, training)
        z = self.kernel_gain * normalise(ops.matmul(x, self.kernel), self.epsilon)
        product = ops.matmul(dropped, self.recurrent_kernel)
        z = z + self.recurrent_gain * normalise(product, self.epsilon)
        if self.use_bias:
            z = z + self.bias
        i, f, g, o = ops.split(z, 4, axis=-1)
        i, f, o = map(self.recurrent_activation, (i, f, o))
        new_c = f * c + i * self.activation(g)
        y = self.state_gain * normalise(new_c, self.epsilon) + self.state_bias
        new_h = o * self.activation(y)
        if self.zoneout:
            parts = (None, None) if noise is None else ops.split(noise, 2, axis=-1)
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
        epsilon: Float, added to the variances.
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

    cell_class = LayerNormLSTMCell

    def __init__(self, units, *args, zoneout=0.0, epsilon=1e-5, **kwargs):
        args = (units, *args)
        self._begin(keras.layers.LSTM, args, kwargs, zoneout=zoneout, epsilon=epsilon)

    def fused(self, steps, state, training):
        cell = self.cell
        bias = cell.bias if cell.use_bias else ops.zeros(4 * cell.units)
        weights = [cell.kernel, cell.recurrent_kernel, bias]
        weights += [cell.kernel_gain, cell.recurrent_gain]
        weights += [cell.state_gain, cell.state_bias]
        weights = [as_float32(weight) for weight in weights]
        return lstm_loop(steps, *state, weights, cell.epsilon, training)
