"""Stacked: three images of another source, drawn at random, as the channels of one.

    i, j, k ~ the images of the source, independently
    x = (image_i, image_j, image_k)              shape (height, width, 3), float32
    y = K^2 c_i + K c_j + c_k                    int32: one of K^3 modes of K classes

Of MNIST there are 1000 modes, the test of how many a generator leaves out. A split is
made of the images of the source's own split.
Metz et al. 2017, "Unrolled generative adversarial networks", arXiv:1611.02163.
"""

import numpy as np

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_count

CASES = {
    "Stacked": ({"arguments": lambda folder: {"source": _digits(), "samples": 40}},)
}


def _digits():
    from keras_dlparts.data.digits import Digits

    return Digits(flatten=False)


class Stacked(Source):
    """Images of three channels, each an image of another source.

    Args:
        source: A source of images of one channel, or of none, with class numbers.
        samples: Integer, `>= 4`. None: as many as the source has. A quarter as many
            test, if the source has images to test on.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> from keras_dlparts.data import Digits
    >>> Stacked(Digits(flatten=False), samples=100).element_spec
    (Spec(shape=(8, 8, 3), dtype='float32'), Spec(shape=(), dtype='int32'))
    """

    def __init__(self, source: Source, samples: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(source, Source):
            raise TypeError(
                "`source` must be a source of images, such as Digits(flatten=False). "
                f"Received: source={source!r}"
            )
        if samples is not None:
            check_count("samples", samples, 4)
        self.source = source
        self.samples = samples

    def load(self):
        images, labels = self.source.train.arrays()
        classes = int(np.max(labels)) + 1
        n = len(images) if self.samples is None else self.samples
        test = self.source.test
        return Splits(
            train=self._draw(1, images, labels, n, classes),
            test=test and self._draw(2, *test.arrays(), n // 4, classes),
        )

    def _draw(self, stream, images, labels, n, classes):
        if images.ndim == 4 and images.shape[-1] == 1:
            images = images[..., 0]
        if images.ndim != 3 or np.ndim(labels) != 1:
            raise ValueError(
                "`source` must give images of one channel and class numbers. Received: "
                f"x of shape {images.shape[1:]} and y of shape {np.shape(labels)[1:]}"
            )
        rows = self.generator(stream).integers(0, len(images), (n, 3))
        y = labels[rows] @ np.array([classes**2, classes, 1])
        return np.moveaxis(images[rows], 1, -1), y.astype("int32")
