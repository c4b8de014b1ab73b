"""Spirals: tell apart interleaved arms in the plane.

    t ~ U(0, 1),  c ~ {0, ..., classes - 1},  e ~ N(0, noise^2 I)
    a = 2 pi (turns sqrt(t) + c / classes)
    x = sqrt(t) (cos a, sin a) + e               shape (2,), float32
    y = c                                        int32

The root spreads the samples evenly along an arm's length.
Lang & Witbrock 1988, "Learning to tell two spirals apart".
"""

import numpy as np

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_count, check_number


def arms(t, c, classes, turns):
    """Points at position t in [0, 1] of arm c: the centre at 0, the rim at 1."""
    r = np.sqrt(t)
    a = 2 * np.pi * (turns * r + c / classes)
    return np.stack([r * np.cos(a), r * np.sin(a)], axis=-1)


class Spirals(Source):
    """Interleaved spirals, one a class.

    Args:
        classes: Integer, `>= 2`. How many arms.
        turns: Float, `>= 0`. How often an arm winds round the centre.
        noise: Float, `>= 0`. Standard deviation of the points about their arm;
            the rim has radius 1.
        samples: Integer, `>= 4`. A quarter as many, drawn independently, test.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> Spirals(classes=3, samples=100).element_spec
    (Spec(shape=(2,), dtype='float32'), Spec(shape=(), dtype='int32'))
    """

    def __init__(
        self,
        classes: int = 2,
        turns: float = 1.5,
        noise: float = 0.02,
        samples: int = 2000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("classes", classes, 2)
        check_number("turns", turns, least=0)
        check_number("noise", noise, least=0)
        check_count("samples", samples, 4)
        self.classes = classes
        self.turns = turns
        self.noise = noise
        self.samples = samples

    def load(self):
        return Splits(
            train=self._draw(self.generator(1), self.samples),
            test=self._draw(self.generator(2), self.samples // 4),
        )

    def _draw(self, generator, n):
        t = generator.random(n)
        c = generator.integers(0, self.classes, n)
        e = generator.normal(0, self.noise, (n, 2))
        x = arms(t, c, self.classes, self.turns) + e
        return x.astype("float32"), c.astype("int32")
