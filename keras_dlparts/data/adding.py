"""Adding: sum two marked numbers of a long sequence, the test of long memory.

    v_t ~ U(0, 1),  t = 1 .. length
    i ~ first half of the positions,  j ~ second half
    x_t = (v_t, [t = i or t = j])                shape (length, 2), float32
    y   = v_i + v_j                              shape (1,), float32

The constant guess 1 has a mean squared error of 1/6; what is better remembers.
Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", experiment 4, which draws
v from (-1, 1) and rescales the sum; the form here is that of Le et al. 2015,
arXiv:1504.00941.
"""

import numpy as np

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_count


class Adding(Source):
    """The adding problem for recurrent networks.

    Args:
        length: Integer, `>= 2`. How long the sequences are.
        samples: Integer, `>= 4`. A quarter as many, drawn independently, test.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> x, y = Adding(length=10, samples=8).test.arrays()
    >>> x.shape, np.allclose((x[..., 0] * x[..., 1]).sum(1), y[:, 0])
    ((2, 10, 2), True)
    """

    def __init__(self, length: int = 100, samples: int = 10000, **kwargs):
        super().__init__(**kwargs)
        check_count("length", length, 2)
        check_count("samples", samples, 4)
        self.length = length
        self.samples = samples

    def load(self):
        return Splits(
            train=self._draw(self.generator(1), self.samples),
            test=self._draw(self.generator(2), self.samples // 4),
        )

    def _draw(self, generator, n):
        half = self.length // 2
        sample = np.arange(n)
        i = generator.integers(0, half, n)
        j = generator.integers(half, self.length, n)
        x = np.zeros((n, self.length, 2), "float32")
        x[..., 0] = generator.random((n, self.length), "float32")
        x[sample, i, 1] = x[sample, j, 1] = 1
        y = x[sample, i, 0] + x[sample, j, 0]
        return x, y[:, None]
