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
from keras_dlparts.layers.recurrent.layer_norm_recurrent import (
    NormalisedCell,
    NormalisedRNN,
    cell_case,
    layer_cases,
    normalise,
    zone_out,
)

CASES = {
    "LayerNormGRU": layer_cases,
    "LayerNormGRUCell": cell_case,
}


class GRUUnit:
    """The arithmetic of one step, for `run_loop`."""

    def __init__(self, units, epsilon, training, centred):
        how = {"centred": centred, "training": training}
        self.norm = backend.row_norm(epsilon, 2 * units, units, **how)
        self.kept = (self.norm.kept, self.norm.kept)
        self.gradients = (3 * units, 3 * units)

    def ahead(self, q, b_x, b_h, a_x, a_h):
        return self.norm(q, a_x, b_x)

    def forward(self, from_x, p, states, b_x, b_h, a_x, a_h):
        (h,) = states
        from_h, p = self.norm(p, a_h, b_h)
        z, _, _, g = self.gates(from_x, from_h)
        return (g + z * (h - g),), (p,)

    def gates(self, from_x, from_h):
        """z, r, what r gates, and the candidate."""
        (zr_x, g_x), (zr_h, u) = from_x, from_h
        gates = ops.sigmoid(zr_x + zr_h)
        units = u.shape[-1]
        z, r = gates[:, :units], gates[:, units:]
        return z, r, u, ops.tanh(g_x + r * u)

    def backward(self, d_states, before, kept, b_x, b_h, a_x, a_h):
        (dh,), (h,) = d_states, before
        q, p = kept
        z, r, u, g = self.gates(
            self.norm.again(q, a_x, b_x), self.norm.again(p, a_h, b_h)
        )
        dz = dh * (h - g) * z * (1 - z)
        dg = dh * (1 - z) * (1 - g * g)
        dr = dg * u * r * (1 - r)
        gates = ops.concatenate([dz, dr], axis=-1)
        dq, da_x, db_x = self.norm.gradient([gates, dg], q, a_x)
        dp, da_h, db_h = self.norm.gradient([gates, dg * r], p, a_h)
        return (dh * z,), (db_x, db_h, da_x, da_h), (dq, dp)


@keras.saving.register_keras_serializable("dlparts")
class LayerNormGRUCell(NormalisedCell, keras.layers.GRUCell):
    """One step of a layer-normalised GRU.

    `(z, r) = s(LN(W_x x) + LN(W_h h) + b)`, `h~ = tanh(LN(W x) + r LN(U h))`,
    `h' = z h + (1 - z) h~`.

    Args:
        units: Positive integer, dimensionality of the output.
        zoneout: Float, `0 <= zoneout < 1`. Chance that a unit keeps its old state
            in training; a cell of its own draws it once a sequence.
        epsilon: Float, added to the variances. Where a variance is below it, or
            below 1e-5 for a larger one, the gradient is that of a row which is
            centred and not divided. Without this it overflows over steps of zeros at
            the start of a sequence.
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
        inputs, noise = self.split_noise(inputs, training)
        (h,) = keras.tree.flatten(states)
        x, dropped = self.drop(inputs, h, training)
        H, epsilon = self.units, self.epsilon
        b_x, b_h = (ops.cast(b, self.compute_dtype) for b in self.biases())
        from_x = normalise(ops.matmul(x, self.kernel), epsilon, 2 * H, H)
        from_x = self.kernel_gain * from_x + b_x
        kernel, gain = self.recurrent_kernel, self.recurrent_gain
        gates = normalise(ops.matmul(dropped, kernel[:, : 2 * H]), epsilon, 2 * H)
        gates = from_x[:, : 2 * H] + gain[: 2 * H] * gates + b_h[: 2 * H]
        z, r = ops.split(self.recurrent_activation(gates), 2, axis=-1)
        old = dropped if self.reset_after else r * dropped
        u = normalise(ops.matmul(old, kernel[:, 2 * H :]), epsilon, H)
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
        epsilon: Float, added to the variances. Where a variance is below it, or
            below 1e-5 for a larger one, the gradient is that of a row which is
            centred and not divided. Without this it overflows over steps of zeros at
            the start of a sequence.
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

    keras_class = keras.layers.GRU
    keras_cell_class = keras.layers.GRUCell
    cell_class = looped_cell_class = LayerNormGRUCell
    unit_class = GRUUnit

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
        weights = [cell.kernel, cell.recurrent_kernel, *cell.biases()]
        weights += [cell.kernel_gain, cell.recurrent_gain]
        return weights
