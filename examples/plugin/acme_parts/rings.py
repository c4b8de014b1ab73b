"""Rings: tell apart concentric circles in the plane.

    c ~ {0, ..., classes - 1},  a ~ U(0, 2 pi),  e ~ N(0, noise^2)
    r = (c + 1) / classes + e
    x = r (cos a, sin a)                         shape (2,), float32
    y = c                                        int32

No line parts one ring from another, so a linear model stays near chance.
"""

import numpy as np

from keras_dlparts.data import Source, Splits
from keras_dlparts.support.checks import check_count, check_number


def points(c, a, e, classes):
    """The points at angle a of rings c, off by e."""
    r = (c + 1) / classes + e
    return np.stack([r * np.cos(a), r * np.sin(a)], axis=-1)


class Rings(Source):
    """Concentric rings, one a class.

    Args:
        classes: Integer, `>= 2`. How many rings; the outermost has radius 1.
        noise: Float, `>= 0`. Standard deviation of the radii.
        samples: Integer, `>= 4`. A quarter as many, drawn independently, test.
        **kwargs: `batch_size`, `shuffle`, `validation_split`, `seed` of `Source`.

    Example:

    >>> Rings(samples=100).element_spec
    (Spec(shape=(2,), dtype='float32'), Spec(shape=(), dtype='int32'))
    """

    def __init__(
        self, classes: int = 2, noise: float = 0.05, samples: int = 2000, **kwargs
    ):
        super().__init__(**kwargs)
        check_count("classes", classes, 2)
        check_number("noise", noise, least=0)
        check_count("samples", samples, 4)
        self.classes = classes
        self.noise = noise
        self.samples = samples

    def load(self):
        return Splits(
            train=self._draw(self.generator(1), self.samples),
            test=self._draw(self.generator(2), self.samples // 4),
        )

    def _draw(self, generator, n):
        c = generator.integers(0, self.classes, n)
        a = generator.uniform(0, 2 * np.pi, n)
        e = generator.normal(0, self.noise, n)
        x = points(c, a, e, self.classes)
        return x.astype("float32"), c.astype("int32")
