"""Parity: is the number of ones among the bits odd?

    x_j ~ {0, 1}, each with probability 1/2      shape (bits,), float32
    y   = (x_1 + ... + x_bits) mod 2             int32

No proper subset of the bits says anything about y, so a linear model stays at
chance and a network must combine all of them. Samples are drawn with replacement:
with few bits the test repeats patterns of the training data.
Minsky & Papert 1969, "Perceptrons".
"""

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_count


class Parity(Source):
    """Random bits and their parity.

    Args:
        bits: Integer, `>= 1`.
        samples: Integer, `>= 4`. A quarter as many, drawn independently, test.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> x, y = Parity(bits=3, samples=8).test.arrays()
    >>> x.shape, bool((x.sum(axis=1) % 2 == y).all())
    ((2, 3), True)
    """

    def __init__(self, bits: int = 16, samples: int = 4000, **kwargs):
        super().__init__(**kwargs)
        check_count("bits", bits, 1)
        check_count("samples", samples, 4)
        self.bits = bits
        self.samples = samples

    def load(self):
        return Splits(
            train=self._draw(self.generator(1), self.samples),
            test=self._draw(self.generator(2), self.samples // 4),
        )

    def _draw(self, generator, n):
        x = generator.integers(0, 2, (n, self.bits))
        return x.astype("float32"), (x.sum(axis=1) % 2).astype("int32")
