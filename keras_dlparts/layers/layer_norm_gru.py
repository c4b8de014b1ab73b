"""Layer-normalised GRU.

    q = W_x x,  p = W_h h                                    3 H wide: z, r, candidate
    (z, r) = s(LN(q_zr; a_x) + LN(p_zr; a_h) + b)            jointly over the 2 H gates
    h~ = tanh(LN(q_h; a_x, b_x) + s(r) * LN(p_h; a_h, b_h))  each over its H columns
    h_t = z h_{t-1} + (1 - z) h~

with LN(.; a, b) = a (. - mean) / sqrt(var + epsilon) + b, gains that start at 1. As in
`keras.layers.GRU`, z keeps the old state; the paper's z is 1 - z here. With
`reset_after=False` the candidate takes LN(W_h (r h)). Shapes: x (batch, time,
features) -> h (batch, time, H), or the last one. Inference: the same, with the mean
of zoneout. Ba, Kiros & Hinton 2016, arXiv:1607.06450.
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
    "LayerNormGRU": layer_cases,
    "LayerNormGRUCell": cell_case,
}


def gru_loop(x, h, weights, epsilon, training):
    """h of all times over x (time, batch, features), with its gradient by hand.

    The loop is built as that of the LSTM, see `lstm_loop`.
    """
    units, dtype = h.shape[-1], x.dtype
    groups = Groups(2 * units, units)

    def make_step(kernel, recurrent_kernel, b_x, b_h, a_x, a_h):
        def step(carry, slices):
            (h,) = carry
            q, q_scale = groups.scale(product(slices[0], kernel), epsilon)
            p, p_scale = groups.scale(product(h, recurrent_kernel), epsilon)
            from_x, from_h = a_x * q + b_x, a_h * p + b_h
            gates = ops.sigmoid(from_x[:, : 2 * units] + from_h[:, : 2 * units])
            z, r = gates[:, :units], gates[:, units:]
            u = from_h[:, 2 * units :]
            g = ops.tanh(from_x[:, 2 * units :] + r * u)
            h = g + z * (h - g)
            return (h,), (h, q, q_scale, p, p_scale, z, r, u, g)

        return step

    def centred(kernel, recurrent_kernel, *vectors):
        kernels = groups.centre(kernel), groups.centre(recurrent_kernel)
        return *(ops.cast(k, dtype) for k in kernels), *vectors

    def forward(x, h, *weights):
        weights = centred(*weights)
        one = (3 * units, 2)
        widths = (units, *one, *one, units, units, units, units)
        _, (hs, *rest) = backend.scan(make_step(*weights), (h,), (x,), widths)
        return (hs,), (x, before(h, hs), rest, weights)

    def backward(saved, upstream):
        x, h_before, rest, weights = saved
        kernel, recurrent_kernel, b_x, b_h, a_x, a_h = weights
        across = ops.transpose(recurrent_kernel)

        def step(carry, slices):
            dh, *sums = carry
            dh_t, h, q, q_scale, p, p_scale, z, r, u, g = slices
            dh = dh + dh_t
            dz = dh * (h - g) * z * (1 - z)
            dg = dh * (1 - z) * (1 - g * g)
            dr = dg * u * r * (1 - r)
            from_x = ops.concatenate([dz, dr, dg], axis=-1)
            from_h = ops.concatenate([dz, dr, dg * r], axis=-1)
            dq = groups.gradient(from_x * a_x, q, q_scale)
            dp = groups.gradient(from_h * a_h, p, p_scale)
            terms = (from_x, from_h, from_x * q, from_h * p)
            sums = [s + ops.sum(d, axis=0) for s, d in zip(sums, terms, strict=True)]
            return (dh * z + product(dp, across), *sums), (dq, dp)

        vectors = [ops.zeros_like(v) for v in (b_x, b_h, a_x, a_h)]
        (dh, *sums), (dq, dp) = backend.scan(
            step,
            (ops.zeros_like(h_before[0]), *vectors),
            (upstream[0], h_before, *rest),
            (3 * units, 3 * units),
            reverse=True,
        )
        dx = ops.matmul(ops.cast(dq, dtype), ops.transpose(kernel))
        dkernel = groups.centre(outer(x, dq, dtype))
        drecurrent = groups.centre(outer(h_before, dp, dtype))
        return dx, dh, dkernel, drecurrent, *sums

    if training:
        return backend.with_gradient(forward, backward)(x, h, *weights)
    step = only_first(make_step(*centred(*weights)))
    return backend.scan(step, (h,), (x,), (units,))[1]


@keras.saving.register_keras_serializable("dlparts")
class LayerNormGRUCell(NormalisedCell, keras.layers.GRUCell):
    """One step of a layer-normalised GRU.

    `(z, r) = s(LN(W_x x) + LN(W_h h) + b)`, `h~ = tanh(LN(W x) + r LN(U h))`,
    `h' = z h + (1 - z) h~`.

    Args:
        units: Positive integer, dimensionality of the output.
        zoneout: Float, `0 <= zoneout < 1`. Chance that a unit keeps its old state
            in training; a cell of its own draws it once a sequence.
        epsilon: Float, added to the variances.
        *args, **kwargs: every argument of `keras.layers.GRUCell`.

    Call arguments: `inputs` of shape `(batch, features)`, `states` as a list of one
    tensor `(batch, units)`, `training`.

    Output shape: `(batch, units)`, and the list of new states.

    Example:

    >>> import keras
    >>> layer = keras.layers.RNN(LayerNormGRUCell(4))
    >>> layer(keras.ops.ones((2, 10, 8))).shape == (2, 4)
    True

    Reference: Ba et al. 2016, https://arxiv.org/abs/1607.06450
    """

    def __init__(self, units, *args, zoneout=0.0, epsilon=1e-5, **kwargs):
        super().__init__(units, *args, **kwargs)
        self._configure(zoneout, epsilon)

    def build(self, input_shape):
        super().build(input_shape)
        self.kernel_gain = self.add_gain("kernel_gain", 3 * self.units)
        self.recurrent_gain = self.add_gain("recurrent_gain", 3 * self.units)

    def biases(self):
        """(of the input part, of the recurrent part), 3 H wide."""
        none = ops.zeros(3 * self.units)
        if not self.use_bias:
            return none, none
        bias = ops.convert_to_tensor(self.bias)
        return (bias[0], bias[1]) if self.reset_after else (bias, none)

    def call(self, inputs, states, training=False):
        inputs, noise = self.split_noise(inputs)
        (h,) = keras.tree.flatten(states)
        x, dropped = self.drop(inputs, h, training)
        H, epsilon = self.units, self.epsilon
        b_x, b_h = (ops.cast(b, self.compute_dtype) for b in self.biases())
        from_x = normalise(ops.matmul(x, self.kernel), epsilon, 2 * H, H)
        from_x = self.kernel_gain * from_x + b_x
        kernel, gain = self.recurrent_kernel, self.recurrent_gain
        gates = normalise(ops.matmul(dropped, kernel[:, : 2 * H]), epsilon)
        gates = from_x[:, : 2 * H] + gain[: 2 * H] * gates + b_h[: 2 * H]
        z, r = ops.split(self.recurrent_activation(gates), 2, axis=-1)
        old = dropped if self.reset_after else r * dropped
        u = normalise(ops.matmul(old, kernel[:, 2 * H :]), epsilon)
        u = gain[2 * H :] * u + b_h[2 * H :]
        g = self.activation(from_x[:, 2 * H :] + (r * u if self.reset_after else u))
        new = zone_out(z * h + (1 - z) * g, h, noise, self.zoneout, training)
        return new, [new] if keras.tree.is_nested(states) else new


@keras.saving.register_keras_serializable("dlparts")
class LayerNormGRU(NormalisedRNN, keras.layers.GRU):
    """Layer-normalised GRU; takes the place of `keras.layers.GRU`.

    `(z, r) = s(LN(W_x x) + LN(W_h h) + b)`, `h~ = tanh(LN(W x) + r LN(U h))`,
    `h' = z h + (1 - z) h~`.

    Args:
        units: Positive integer, dimensionality of the output.
        zoneout: Float, `0 <= zoneout < 1`. Chance that a unit keeps its old state at
            a time step in training; inference takes the mean.
        epsilon: Float, added to the variances.
        *args, **kwargs: every argument of `keras.layers.GRU`. `recurrent_dropout`
            has one mask a sequence, the same for all gates.

    Call arguments: those of `keras.layers.GRU`: `sequences` of shape `(batch, time,
    features)`, `mask`, `training`, `initial_state`.

    Output shape: `(batch, units)`, or `(batch, time, units)` with
    `return_sequences`, and the state with `return_state`.

    Example:

    >>> import keras
    >>> layer = LayerNormGRU(4, return_sequences=True)
    >>> layer(keras.ops.ones((2, 10, 8))).shape == (2, 10, 4)
    True

    Reference: Ba et al. 2016, https://arxiv.org/abs/1607.06450; zoneout: Krueger et
    al. 2017, https://arxiv.org/abs/1606.01305
    """

    cell_class = LayerNormGRUCell

    def __init__(self, units, *args, zoneout=0.0, epsilon=1e-5, **kwargs):
        args = (units, *args)
        self._begin(keras.layers.GRU, args, kwargs, zoneout=zoneout, epsilon=epsilon)

    def fused(self, steps, state, training):
        cell = self.cell
        weights = [cell.kernel, cell.recurrent_kernel, *cell.biases()]
        weights += [cell.kernel_gain, cell.recurrent_gain]
        weights = [as_float32(weight) for weight in weights]
        return gru_loop(steps, *state, weights, cell.epsilon, training)
