"""Gaussians: a mixture of narrow Gaussians in the plane, on a ring or on a grid.

    c ~ {0, ..., modes - 1},  e ~ N(0, deviation^2 I)
    x = mean_c + e                               shape (2,), float32
    y = c                                        int32

    ring   8 modes,  mean_i = (cos a_i, sin a_i),  a_i = 2 pi i / 8,  deviation .01
    grid   25 modes, means in {-4, -2, 0, 2, 4}^2,                    deviation .05

What a generator leaves out of them can be counted: `metrics.ModeCoverage`.
The settings are those of Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, and Lin et
al. 2018 (PacGAN), arXiv:1712.04086.
"""

from typing import Literal

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_count
from keras_dlparts.support.mixtures import centres, deviation_of


class Gaussians(Source):
    """Samples of a mixture of Gaussians in the plane, one class a mode.

    Args:
        arrangement: `"ring"` or `"grid"`.
        modes: Integer, `>= 1`, a square number on the grid. None: 8 on the ring, 25 on
            the grid.
        deviation: Float, `> 0`, the standard deviation of each mode. None: .01 on the
            ring, .05 on the grid.
        samples: Integer, `>= 4`. A quarter as many, drawn independently, test.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> source = Gaussians("grid", samples=100)
    >>> source.element_spec
    (Spec(shape=(2,), dtype='float32'), Spec(shape=(), dtype='int32'))
    """

    def __init__(
        self,
        arrangement: Literal["ring", "grid"] = "ring",
        modes: int | None = None,
        deviation: float | None = None,
        samples: int = 10000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.means = centres(arrangement, modes)
        self.arrangement = arrangement
        self.modes = modes
        self.deviation = deviation_of(arrangement, deviation)
        check_count("samples", samples, 4)
        self.samples = samples

    def load(self):
        return Splits(
            train=self._draw(self.generator(1), self.samples),
            test=self._draw(self.generator(2), self.samples // 4),
        )

    def _draw(self, generator, n):
        c = generator.integers(0, len(self.means), n)
        e = generator.normal(0, self.deviation, (n, 2))
        return (self.means[c] + e).astype("float32"), c.astype("int32")
