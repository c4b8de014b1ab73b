"""Layer normalisation inside loops, with its gradient by hand."""

import numpy as np
from keras import ops

from keras_dlparts.backend.basics import name


def row_norm(epsilon, *widths, centred=True, training=True):
    """Layer normalisation of rows, with a gain and a bias, in float32.

        n = a / sqrt(mean(a^2) + epsilon),  y = gain n + bias    group by group

    Args:
        epsilon: added to the variances.
        widths: how many neighbouring columns each group has.
        centred: whether each group's mean is zero in what comes in already. If not,
            it is taken away first.
        training: whether a gradient will be taken. Only how it is computed differs.

    Returns: an object with

        norm(a, gain, bias) -> (ys, kept)      gain and bias tensors or None
        norm.again(kept, gain, bias) -> ys
        norm.gradient(dys, kept, gain, bias) -> (da, dgain, dbias)
        norm.centre(a)

    for `ys` a list, one y a group. For the gradient `bias` tells whether there was
    one. `norm.kept` has the widths of `kept`. What comes in centred has a gradient
    that `centre` of a later sum may centre.
    """
    kind = _Fused if name() == "torch" else _Products
    return kind(epsilon, widths, centred, training)


class _Products:
    """For compilers. Means are products with a matrix: compilers for processors sum
    these faster than they reduce, but for one group in JAX' inference."""

    def __init__(self, epsilon, widths, centred, training):
        ends = np.cumsum(widths)
        columns = np.arange(ends[-1])[:, None]
        inside = (columns >= ends - widths) & (columns < ends)
        self.ends = ends.tolist()
        self.gather = ops.convert_to_tensor(inside / np.array(widths), "float32")
        self.spread = ops.convert_to_tensor(inside.T, "float32")
        self.one = len(widths) == 1
        self.reduces = self.one and not training and name() == "jax"
        self.epsilon, self.centred = epsilon, centred
        self.kept = (int(ends[-1]), len(widths))

    def mean(self, a):
        """The mean of each row in each group, (rows, groups)."""
        return ops.mean(a, -1, keepdims=True) if self.reduces else a @ self.gather

    def over(self, means):
        """One number a group, for all its columns."""
        return means if self.one else means @ self.spread

    def centre(self, a):
        """Take each group's mean away."""
        return a - self.over(self.mean(a))

    def __call__(self, a, gain, bias=None):
        a = a if self.centred else self.centre(a)
        scale = ops.rsqrt(self.mean(a * a) + self.epsilon)
        kept = a * self.over(scale), scale
        return self.again(kept, gain, bias), kept

    def again(self, kept, gain, bias=None):
        y, _ = kept
        y = y if gain is None else gain * y
        return self.split(y if bias is None else y + bias)

    def split(self, a):
        """The columns of each group."""
        return [a] if self.one else ops.split(a, self.ends[:-1], axis=-1)

    def gradient(self, dys, kept, gain, bias=True):
        n, scale = kept
        dy = dys[0] if self.one else ops.concatenate(dys, axis=-1)
        dn = dy * gain
        dn = dn if self.centred else self.centre(dn)
        da = self.over(scale) * (dn - n * self.over(self.mean(dn * n)))
        return da, ops.sum(dy * n, axis=0), ops.sum(dy, axis=0) if bias else None


class _Fused(_Products):
    """For PyTorch, which runs one operation at a time and has one for all this."""

    def __init__(self, epsilon, widths, centred, training):
        super().__init__(epsilon, widths, centred, training)
        self.widths = widths
        self.kept = tuple((width, 1, 1) for width in widths)

    def split(self, a):  # Keras' takes ten times as long
        return [a] if self.one else a.split(self.widths, dim=-1)

    def __call__(self, a, gain, bias=None):
        groups = self._each(self.split(a), gain, bias)
        kept = tuple((a, *statistics) for a, (_, *statistics) in groups)
        return [y for _, (y, *_) in groups], kept

    def again(self, kept, gain, bias=None):
        groups = self._each([a for a, *_ in kept], gain, bias)
        return [y for _, (y, *_) in groups]

    def _each(self, groups, gain, bias):
        """(a, (y, mean, scale)) of each group."""
        import torch

        none = [None] * len(groups)
        gains = none if gain is None else self.split(gain)
        biases = none if bias is None else self.split(bias)
        norm = torch.native_layer_norm
        return [
            (a, norm(a, a.shape[-1:], g, b, self.epsilon))
            for a, g, b in zip(groups, gains, biases, strict=True)
        ]

    def gradient(self, dys, kept, gain, bias=True):
        import torch

        backward = torch.ops.aten.native_layer_norm_backward
        wanted = [True, True, bias]
        parts = [
            backward(dy, a, a.shape[-1:], mean, scale, g, g, wanted)
            for dy, (a, mean, scale), g in zip(dys, kept, self.split(gain), strict=True)
        ]
        if self.one:
            return parts[0]
        das, dgains, dbiases = zip(*parts, strict=True)
        join = torch.cat
        return join(das, -1), join(dgains), join(dbiases) if bias else None
