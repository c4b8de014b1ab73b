"""Layer normalisation inside loops, with its gradient by hand.

    n = a / sqrt(v + epsilon),  y = gain n + bias      v = mean(a^2) of a centred row
    da = s (dn - mean(dn) - n mean(dn n))              dn = gain dy
    s = 1                      where v < min(epsilon, 1e-5) and epsilon < 1
      = 1 / sqrt(v + epsilon)  elsewhere, the derivative

Where v is far below epsilon nothing is normalized: the row is multiplied by
1 / sqrt(epsilon), which is 316 at 1e-5. In a recurrent net whose state is zero, as over
steps of zeros at the start of a sequence, the derivative holds that factor once a step,
and overflows after a few. It is also of no use there: any step of an optimizer leaves
the small neighbourhood of zero that it describes. So the way back leaves it out:
it is that of a net without normalization. Outputs, the gradients of all other rows, and
those of gain and bias are what they would be. The limit of 1e-5 keeps a large epsilon
from reaching rows of ordinary size.
"""

import math

import numpy as np
from keras import ops

from keras_dlparts.backend.basics import accelerators, name

_LARGEST_FLOOR = 1e-5
_LARGEST_SQUARE = 1e38  # of which float32 still holds a mean


def row_norm(epsilon, *widths, centred=True, training=True):
    """Layer normalisation of rows, with a gain and a bias, in float32.

    Args:
        epsilon: added to the variances.
        widths: how many neighbouring columns each group has. Each group of a row is
            normalised by itself.
        centred: whether each group's mean is zero in what comes in already. If not,
            it is taken away first.
        training: whether a gradient will be taken. Only how it is computed differs.

    Returns: an object with

        norm(a, gain, bias) -> (ys, kept)      gain and bias tensors or None
        norm.again(kept, gain, bias) -> ys
        norm.gradient(dys, kept, gain, bias) -> (da, dgain, dbias)
        norm.differentiable(a) -> n            with this gradient, for automatic ones
        norm.centre(a)

    for `ys` a list, one y a group. For the gradient `bias` tells whether there was
    one. `norm.kept` has the widths of `kept`. What comes in centred has a gradient
    that `centre` of a later sum may centre.
    """
    kind = _Fused if name() == "torch" else _Products
    return kind(epsilon, widths, centred, training)


def centres_matrices(products, rows):
    """Whether predictions had better centre matrices than the products with them.

    Args:
        products: How many rows the products have in all, or None if that is not known.
        rows: How many rows the matrices have.
    """
    if name() == "torch":  # its layer norm centres anyway
        return False
    return products is None or products >= rows


class _Products:
    """For compilers. On processors means are products with a matrix, which compilers
    sum faster than they reduce, but for one group in JAX' inference. Accelerators may
    round the factors of products to 10 bits, so there means are reductions."""

    def __init__(self, epsilon, widths, centred, training):
        ends = np.cumsum(widths)
        columns = np.arange(ends[-1])[:, None]
        inside = (columns >= ends - widths) & (columns < ends)
        self.ends = ends.tolist()
        self.gather = ops.convert_to_tensor(inside / np.array(widths), "float32")
        self.spread = ops.convert_to_tensor(inside.T, "float32")
        self.one = len(widths) == 1
        self.reduces = bool(accelerators())
        self.reduces |= self.one and not training and name() == "jax"
        self.widths, self.epsilon, self.centred = widths, epsilon, centred
        self.kept = (int(ends[-1]), len(widths))
        floor = min(epsilon, _LARGEST_FLOOR)
        # The factor of a row whose variance is the floor; those below have larger ones.
        self.largest = 1 / math.sqrt(floor + epsilon) if epsilon < 1 else math.inf

    def mean(self, a):
        """The mean of each row in each group, (rows, groups)."""
        if not self.reduces:
            return a @ self.gather
        means = [ops.mean(group, -1, keepdims=True) for group in self.split(a)]
        return means[0] if self.one else ops.concatenate(means, axis=-1)

    def over(self, means):
        """One number a group, for all its columns."""
        if self.one:
            return means
        if not self.reduces:
            return means @ self.spread
        each = ops.split(means, len(self.widths), axis=-1)
        each = [
            m * ops.ones((1, w), m.dtype)
            for m, w in zip(each, self.widths, strict=True)
        ]
        return ops.concatenate(each, axis=-1)

    def centre(self, a):
        """Take each group's mean away, and then the mean that rounding left: divided by
        sqrt(epsilon) it would show in a row of one value."""
        a = a - self.over(self.mean(a))
        return a - self.over(self.mean(a))

    def __call__(self, a, gain, bias=None):
        a = a if self.centred else self.centre(a)
        square = a * a
        if not self.one:
            # An infinite square makes 0 times infinity, NaN, of the other groups.
            square = ops.minimum(square, _LARGEST_SQUARE)
        scale = ops.rsqrt(self.mean(square) + self.epsilon)
        kept = a * self.over(scale), scale
        return self.again(kept, gain, bias), kept

    def again(self, kept, gain, bias=None):
        y, _ = kept
        y = y if gain is None else gain * y
        return self.split(y if bias is None else y + bias)

    def differentiable(self, a):
        """The normalised rows, whose automatic gradient is that of `gradient`."""
        ys, kept = self(a, None)
        y = ys[0] if self.one else ops.concatenate(ys, axis=-1)
        scale = ops.stop_gradient(self.scales(kept))
        share = 1 / ops.where(scale > self.largest, scale, 1.0)
        still = ops.stop_gradient(y)
        return still + self.over(share) * (y - still)

    def scales(self, kept):
        """1 / sqrt(v + epsilon) of each row and group."""
        return kept[1]

    def split(self, a):
        """The columns of each group."""
        return [a] if self.one else ops.split(a, self.ends[:-1], axis=-1)

    def gradient(self, dys, kept, gain, bias=True):
        n, scale = kept
        dy = dys[0] if self.one else ops.concatenate(dys, axis=-1)
        dn = dy * gain
        dn = dn if self.centred else self.centre(dn)
        scale = ops.where(scale > self.largest, 1.0, scale)
        da = self.over(scale) * (dn - n * self.over(self.mean(dn * n)))
        return da, ops.sum(dy * n, axis=0), ops.sum(dy, axis=0) if bias else None


class _Fused(_Products):
    """For PyTorch, which runs one operation at a time and has one for all this."""

    def __init__(self, epsilon, widths, centred, training):
        super().__init__(epsilon, widths, centred, training)
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

    def scales(self, kept):
        import torch

        return torch.cat([scale for *_, scale in kept], -1)

    def _each(self, groups, gain, bias):
        """(a, (y, mean, scale)) of each group."""
        import torch

        none = [None] * len(groups)
        gains = none if gain is None else self.split(gain)
        biases = none if bias is None else self.split(bias)
        norm = torch.native_layer_norm
        # The widths as integers: a shape that is traced for ONNX holds tensors.
        return [
            (a, norm(a, [width], g, b, self.epsilon))
            for a, width, g, b in zip(groups, self.widths, gains, biases, strict=True)
        ]

    def gradient(self, dys, kept, gain, bias=True):
        import torch

        backward = torch.ops.aten.native_layer_norm_backward
        wanted = [True, True, bias]
        parts = [
            backward(dy, a, a.shape[-1:], mean, scale, g, g, wanted)
            for dy, (a, mean, scale), g in zip(dys, kept, self.split(gain), strict=True)
        ]
        scaled = torch.nn.functional.threshold  # 1 where the scale is not too large
        parts = [
            (da / scaled(scale, self.largest, 1.0), *others)
            for (da, *others), (*_, scale) in zip(parts, kept, strict=True)
        ]
        if self.one:
            return parts[0]
        das, dgains, dbiases = zip(*parts, strict=True)
        join = torch.cat
        return join(das, -1), join(dgains), join(dbiases) if bias else None
