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
    "LayerNormSimpleRNN": layer_cases,
    "LayerNormSimpleRNNCell": cell_case,
}


def simple_loop(x, h, weights, epsilon, training):
    """h of all times over x (time, batch, features), with its gradient by hand.

    The loop is built as that of the LSTM, see `lstm_loop`.
    """
    units, dtype = h.shape[-1], x.dtype
    groups = Groups(units)

    def make_step(kernel, recurrent_kernel, bias, gain):
        def step(carry, slices):
            y = product(slices[0], kernel) + product(carry[0], recurrent_kernel)
            p, scale = groups.scale(y, epsilon)
            h = ops.tanh(gain * p + bias)
            return (h,), (h, p, scale)

        return step

    def centred(kernel, recurrent_kernel, *vectors):
        kernels = groups.centre(kernel), groups.centre(recurrent_kernel)
        return *(ops.cast(k, dtype) for k in kernels), *vectors

    def forward(x, h, *weights):
        weights = centred(*weights)
        widths = (units, units, 1)
        _, kept = backend.scan(make_step(*weights), (h,), (x,), widths)
        return kept[:1], (x, before(h, kept[0]), kept, weights)

    def backward(saved, upstream):
        x, h_before, kept, (kernel, recurrent_kernel, bias, gain) = saved
        across = ops.transpose(recurrent_kernel)

        def step(carry, slices):
            dh, dbias, dgain = carry
            dh_t, h, p, scale = slices
            dz = (dh + dh_t) * (1 - h * h)
            dp = groups.gradient(dz * gain, p, scale)
            dbias = dbias + ops.sum(dz, axis=0)
            dgain = dgain + ops.sum(dz * p, axis=0)
            return (product(dp, across), dbias, dgain), (dp,)

        (dh, *sums), (dp,) = backend.scan(
            step,
            (ops.zeros_like(h_before[0]), ops.zeros_like(bias), ops.zeros_like(gain)),
            (upstream[0], *kept),
            (units,),
            reverse=True,
        )
        dx = ops.matmul(ops.cast(dp, dtype), ops.transpose(kernel))
        dkernel = groups.centre(outer(x, dp, dtype))
        drecurrent = groups.centre(outer(h_before, dp, dtype))
        return dx, dh, dkernel, drecurrent, *sums

    if training:
        return backend.with_gradient(forward, backward)(x, h, *weights)
    step = only_first(make_step(*centred(*weights)))
    return backend.scan(step, (h,), (x,), (units,))[1]


@keras.saving.register_keras_serializable("dlparts")
class LayerNormSimpleRNNCell(NormalisedCell, keras.layers.SimpleRNNCell):
    """One step of a layer-normalised simple recurrence.

    `h' = f(LN(W_x x + W_h h))`, with a gain and a bias.

    Args:
        units: Positive integer, dimensionality of the output.
        zoneout: Float, `0 <= zoneout < 1`. Chance that a unit keeps its old state
            in training; a cell of its own draws it once a sequence.
        epsilon: Float, added to the variances.
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

    def __init__(self, units, *args, zoneout=0.0, epsilon=1e-5, **kwargs):
        super().__init__(units, *args, **kwargs)
        self._configure(zoneout, epsilon)

    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_gain("gain", self.units)

    def call(self, sequence, states, training=False):
        sequence, noise = self.split_noise(sequence)
        (h,) = keras.tree.flatten(states)
        x, dropped = self.drop(sequence, h, training)
        y = ops.matmul(x, self.kernel) + ops.matmul(dropped, self.recurrent_kernel)
        y = self.gain * normalise(y, self.epsilon)
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
        epsilon: Float, added to the variances.
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

    cell_class = LayerNormSimpleRNNCell

    def __init__(self, units, *args, zoneout=0.0, epsilon=1e-5, **kwargs):
        ours = {"zoneout": zoneout, "epsilon": epsilon}
        self._begin(keras.layers.SimpleRNN, (units, *args), kwargs, **ours)

    def fused(self, steps, state, training):
        cell = self.cell
        bias = cell.bias if cell.use_bias else ops.zeros(cell.units)
        weights = [cell.kernel, cell.recurrent_kernel, bias, cell.gain]
        weights = [as_float32(weight) for weight in weights]
        return simple_loop(steps, *state, weights, cell.epsilon, training)
