"""Write sequences with a decoder, a step after another, in one compiled loop.

    step(previous, states) -> (outputs, states)         states is a tuple

    greedy     y_t = argmax_v log p(v | y_<t)
    sampled    y_t = argmax_v log p(v | y_<t) + T g_v,  g_v ~ Gumbel
               which draws y_t with probabilities in proportion to p^(1/T)
    beam       of all continuations of the best sequences so far, the best ones again,
               by the sum of log p(y_t | y_<t)
    real       y_t = outputs

p is the softmax of the outputs. Symbol 0 is padding: it is never written before the
`end`, and nothing else after it. All loops take `length` steps, whatever is written: a
loop of known length is what every backend compiles and exports.
Shapes: symbols (batch, length), log p (batch,); of a beam search one axis more,
(batch, beams, length) and (batch, beams), the best first.
Gumbel's trick: Gumbel 1954, "Statistical theory of extreme values".
"""

import math

import keras
from keras import ops

from keras_dlparts import backend


def log_probabilities(outputs, over):
    """log p of each next symbol; of a sequence that is over, padding is certain.

    Args:
        outputs: Tensor `(..., vocabulary)`, the logits.
        over: Booleans `(...)`, whether `end` was written.
    """
    log_p = ops.log_softmax(ops.cast(outputs, "float32"), axis=-1)
    is_padding = ops.arange(log_p.shape[-1]) == 0
    impossible = ops.full_like(log_p, -math.inf)
    going_on = ops.where(is_padding, impossible, log_p)
    ended = ops.where(is_padding, ops.zeros_like(log_p), impossible)
    return ops.where(over[..., None], ended, going_on)


def write(step, states, end, length, noise=None):
    """(symbols, log p of each sequence): the likeliest symbol in each step.

    Args:
        step: As above, for symbols `(batch,)` and outputs `(batch, vocabulary)`.
        states: Tuple of tensors `(batch, ...)`.
        end: Integer, the symbol that is read first, and after which nothing follows.
        length: Integer, how many steps to take.
        noise: Tensor `(length, batch, vocabulary)` that is added to log p before the
            choice, T times Gumbel's, for samples; None for the likeliest.
    """
    batch = ops.shape(states[0])[0]

    def one(carry, slices):
        previous, over, score, states = carry
        outputs, states = _kept(step, previous, states)
        log_p = log_probabilities(outputs, over)
        ranks = log_p if noise is None else log_p + slices[0]
        symbol = ops.cast(ops.argmax(ranks, axis=-1), "int32")
        gained = ops.take_along_axis(log_p, symbol[:, None], axis=-1)[:, 0]
        over = ops.logical_or(over, symbol == end)
        written = ops.cast(symbol, "float32")[:, None]
        return (symbol, over, score + gained, states), (written,)

    start = (
        ops.full((batch,), end, dtype="int32"),
        ops.zeros((batch,), dtype="bool"),
        ops.zeros((batch,), dtype="float32"),
        states,
    )
    times = ops.zeros((length, batch), "float32") if noise is None else noise
    (_, _, score, _), (written,) = backend.scan(one, start, (times,), (1,))
    return ops.cast(ops.transpose(backend.stacked(written)[..., 0]), "int32"), score


def beam(step, states, end, length, beams):
    """(symbols, log p) of the best sequences that are found, the best first.

    Args:
        step: As above, for `batch * beams` symbols at once.
        states: Tuple of tensors `(batch, ...)`.
        end, length: As for `write`.
        beams: Integer, how many sequences are kept in each step. With as many as there
            are sequences nothing is missed.
    """
    batch = ops.shape(states[0])[0]

    def split(tensor):
        return ops.reshape(tensor, (-1, beams, *tensor.shape[1:]))

    def joined(tensor):
        return ops.reshape(tensor, (-1, *tensor.shape[2:]))

    def chosen(tensor, parent):
        """Of each kept sequence the row that it continues."""
        index = ops.reshape(parent, (-1, beams, *[1] * (len(tensor.shape) - 2)))
        index = ops.broadcast_to(index, ops.shape(tensor))
        return ops.take_along_axis(tensor, index, axis=1)

    def one(carry, slices):
        previous, over, score, written, states = carry
        outputs, states = _kept(step, ops.reshape(previous, (-1,)), states)
        log_p = log_probabilities(split(outputs), over)
        symbols = log_p.shape[-1]
        total = ops.reshape(score[..., None] + log_p, (-1, beams * symbols))
        score, best = ops.top_k(total, beams)
        best = ops.cast(best, "int32")
        parent, symbol = best // symbols, best % symbols
        over = ops.logical_or(chosen(over, parent), symbol == end)
        here = ops.cast(slices[0], "bool")  # true at this step alone
        written = ops.where(here, symbol[..., None], chosen(written, parent))
        states = tuple(joined(chosen(split(state), parent)) for state in states)
        return (symbol, over, score, written, states), ()

    # All sequences are the same at first, so that only one of them may go on.
    first = ops.where(ops.arange(beams) == 0, 0.0, -math.inf)
    start = (
        ops.full((batch, beams), end, dtype="int32"),
        ops.zeros((batch, beams), dtype="bool"),
        ops.zeros((batch, 1), dtype="float32") + ops.cast(first, "float32"),
        ops.zeros((batch, beams, length), dtype="int32"),
        tuple(ops.repeat(state, beams, axis=0) for state in states),
    )
    (_, _, score, written, _), _ = backend.scan(
        one, start, (ops.eye(length, dtype="float32"),), ()
    )
    return written, score


def roll(step, states, first, length):
    """Values `(batch, length, features)`, each step's outputs read by the next one.

    Args:
        step: As above, for values `(batch, features)`.
        states: Tuple of tensors `(batch, ...)`.
        first: The value that is read first.
        length: Integer, how many steps to take.
    """

    def one(carry, slices):
        outputs, states = _kept(step, *carry)
        outputs = ops.cast(outputs, carry[0].dtype)
        return (outputs, states), (ops.cast(outputs, "float32"),)

    times = (ops.zeros((length, ops.shape(first)[0]), "float32"),)
    _, (values,) = backend.scan(one, (first, states), times, (first.shape[-1],))
    return ops.transpose(backend.stacked(values), (1, 0, 2))


def _kept(step, previous, states):
    """What a step gives, its states of the dtypes that they had: a loop's carry must
    keep its types."""
    outputs, new = step(previous, states)
    new = keras.tree.flatten(new)
    return outputs, tuple(
        ops.cast(n, state.dtype) for n, state in zip(new, states, strict=True)
    )
