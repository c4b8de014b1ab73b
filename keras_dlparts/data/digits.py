"""Digits: the 1797 small images of handwritten digits that scikit-learn ships.

    x = pixels / 16, float32 in [0, 1], shape (64,) or (8, 8, 1)
    y = 0 .. 9, int32

The first 1500 samples train (and validate), the last 297 test, always the same.
Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI.
"""

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_flag

TRAIN_SAMPLES = 1500


class Digits(Source):
    """The digits data of scikit-learn: 8 x 8 pixels, 10 classes.

    Args:
        flatten: Whether x has shape `(64,)`; else it is `(8, 8, 1)`.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> source = Digits(batch_size=50, flatten=False)
    >>> source.element_spec
    (Spec(shape=(8, 8, 1), dtype='float32'), Spec(shape=(), dtype='int32'))
    >>> len(source.train), len(source.validation), len(source.test)
    (27, 3, 6)
    """

    def __init__(self, flatten: bool = True, **kwargs):
        super().__init__(**kwargs)
        check_flag("flatten", flatten)
        self.flatten = flatten

    def load(self):
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise ImportError(
                "The digits data comes with scikit-learn: "
                "pip install keras-dlparts[tune]"
            ) from error
        x, y = load_digits(return_X_y=True)
        x = (x / 16).astype("float32")
        if not self.flatten:
            x = x.reshape(-1, 8, 8, 1)
        y = y.astype("int32")
        n = TRAIN_SAMPLES
        return Splits(train=(x[:n], y[:n]), test=(x[n:], y[n:]))
