"""The formulas of adversarial nets. `gan.py` puts them to use.

s is what the discriminator gives for a sample, a number without an activation: s_r for
real ones, s_f for those of the generator. softplus(s) = log(1 + exp(s)).
"""

import keras
from keras import ops

OBJECTIVES = ("minimax", "non_saturating", "least_squares", "wasserstein")


def discriminator_loss(real, fake, objective, smoothing=0.0):
    """What the discriminator descends, a scalar.

    Args:
        real, fake: s_r and s_f.
        objective: One of `OBJECTIVES`.
        smoothing: How far the target of real samples is below 1.

    >>> float(discriminator_loss(ops.zeros((2,)), ops.zeros((2,)), "minimax"))
    1.3862...
    """
    if objective == "wasserstein":
        return ops.mean(fake) - ops.mean(real)
    if objective == "least_squares":
        misses = ops.mean(ops.square(real - (1.0 - smoothing)))
        return (misses + ops.mean(ops.square(fake))) / 2
    loss = ops.mean(ops.softplus(-real))
    if smoothing:
        loss = (1 - smoothing) * loss + smoothing * ops.mean(ops.softplus(real))
    return loss + ops.mean(ops.softplus(fake))


def generator_loss(fake, objective):
    """What the generator descends, a scalar, of s_f."""
    if objective == "wasserstein":
        return -ops.mean(fake)
    if objective == "least_squares":
        return ops.mean(ops.square(fake - 1.0)) / 2
    if objective == "minimax":
        return -ops.mean(ops.softplus(fake))
    return ops.mean(ops.softplus(-fake))


def judged(s, objective):
    """(D as it is told, where it begins to say that a sample is real) of s."""
    if objective in ("minimax", "non_saturating"):
        return ops.sigmoid(s), 0.5
    return s, 0.5 if objective == "least_squares" else None


def channels(rank):
    """The axis of a tensor's features or channels."""
    first = keras.config.image_data_format() == "channels_first"
    return 1 if first and rank > 2 else rank - 1


def with_label(x, label):
    """x and its one-hot label, as further features or as planes of further channels.

    Shapes: x (batch, ..., channels), label (batch, classes) -> (batch, ..., channels +
    classes).
    """
    rank = len(x.shape)
    axis = channels(rank)
    if rank > 2:
        shape = [1] * rank
        shape[0], shape[axis] = -1, label.shape[-1]
        ones = ops.ones_like(ops.take(x, ops.convert_to_tensor([0]), axis=axis))
        label = ops.reshape(label, shape) * ones
    return ops.concatenate([x, ops.cast(label, x.dtype)], axis=axis)


def packed(x, m):
    """m samples at a time as one, their channels side by side.

    Shapes: (batch, ..., channels) -> (batch / m, ..., m channels).

    >>> ops.convert_to_numpy(packed(ops.reshape(ops.arange(4), (4, 1)), 2)).tolist()
    [[0, 1], [2, 3]]
    """
    rank = len(x.shape)
    axis = channels(rank)
    x = ops.reshape(x, (-1, m, *x.shape[1:]))
    x = ops.moveaxis(x, 1, axis)  # in front of the channels
    shape = [-1, *x.shape[1:]]
    shape[axis : axis + 2] = [m * shape[axis + 1]]
    return ops.reshape(x, shape)


def norms(gradients):
    """The norm of the gradient of each sample, with a finite slope at zero."""
    axes = tuple(range(1, len(gradients.shape)))
    return ops.sqrt(ops.sum(ops.square(gradients), axis=axes) + 1e-12)
