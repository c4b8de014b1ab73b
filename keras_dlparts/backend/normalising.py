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

    Returns: an object with `norm(a, gain, bias) -> (y, kept)`, gain and bias
    tensors or None, with `norm.gradient(
    dy, kept, gain, bias) -> (da, dgain, dbias)`, where `bias` tells whether there was
    one, with `norm.centre(a)`, and with `norm.kept`, the widths of `kept`. What comes
    in centred has a gradient that `centre` of a later sum may centre.
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
        n = a * self.over(scale)
        y = n if gain is None else gain * n
        return y if bias is None else y + bias, (n, scale)

    def gradient(self, dy, kept, gain, bias=True):
        n, scale = kept
        dn = dy * gain
        dn = dn if self.centred else self.centre(dn)
        da = self.over(scale) * (dn - n * self.over(self.mean(dn * n)))
        return da, ops.sum(dy * n, axis=0), ops.sum(dy, axis=0) if bias else None


class _Fused(_Products):
    """For PyTorch, which runs one operation at a time and has one for all this."""

    def __init__(self, epsilon, widths, centred, training):
        super().__init__(epsilon, widths, centred, training)
        self.widths = list(widths)
        self.kept = tuple((width, 1, 1) for width in widths)

    def _split(self, a):
        if a is None or self.one:
            return [a] * len(self.widths)
        return a.split(self.widths, dim=-1)

    def __call__(self, a, gain, bias=None):
        import torch

        ys, kept = [], []
        groups = map(self._split, (a, gain, bias))
        for a, gain, bias in zip(*groups, strict=True):
            y, mean, scale = torch.native_layer_norm(
                a, a.shape[-1:], gain, bias, self.epsilon
            )
            ys.append(y)
            kept.append((a, mean, scale))
        return ys[0] if self.one else torch.cat(ys, -1), tuple(kept)

    def gradient(self, dy, kept, gain, bias=True):
        import torch

        parts = []
        groups = zip(self._split(dy), kept, self._split(gain), strict=True)
        for d, (a, mean, scale), g in groups:
            parts.append(
                torch.ops.aten.native_layer_norm_backward(
                    d, a, a.shape[-1:], mean, scale, g, g, [True, True, bias]
                )
            )
        if self.one:
            return parts[0]
        das, dgains, dbiases = zip(*parts, strict=True)
        join = torch.cat
        return join(das, -1), join(dgains), join(dbiases) if bias else None
