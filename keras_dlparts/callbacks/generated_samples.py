"""Generated samples: what a generative model makes, from epoch to epoch.

At the end of every `every`-th epoch `model.sample(n, seed)` is kept. The codes are the
same each time, so that a picture can be followed through the training.
Shapes: (n, ...), those of the model's samples.
"""

import inspect
from typing import Any

import keras
import numpy as np

from keras_dlparts.support.checks import check_count

CASES = {"GeneratedSamples": ({"arguments": {}},)}
_MOST = 8  # rows of the figure


class GeneratedSamples(keras.callbacks.Callback):
    """Keeps samples of a generative model, for a picture of how they came about.

    For models with `sample(n, seed=...)`, as `models.GAN`. Of others it keeps nothing:
    of those whose `sample` needs more, as that of `models.DBM` needs steps, and of
    those that say `generative = False`, as an `Autoencoder` without a variational code.
    The samples are in `samples`, a dict of the epoch, as a text, and an array. A run's
    checkpoint holds them, and its report shows them.

    Args:
        n: Integer, `>= 1`. How many samples.
        every: Integer, `>= 1`. How many epochs lie between two.
        seed: Integer, of the codes.

    Example:

    >>> from keras_dlparts.models import GAN
    >>> gan = GAN(keras.layers.Dense(2), keras.layers.Dense(1), latent=2)
    >>> gan.compile("adam")
    >>> seen = GeneratedSamples(n=5)
    >>> _ = gan.fit(np.ones((8, 2)), epochs=2, verbose=0, callbacks=[seen])
    >>> {epoch: samples.shape for epoch, samples in seen.samples.items()}
    {'1': (5, 2), '2': (5, 2)}
    """

    def __init__(self, n: int = 10, every: int = 1, seed: int = 0):
        super().__init__()
        self.n = check_count("n", n)
        self.every = check_count("every", every)
        self.seed = check_count("seed", seed, 0)
        self.samples = {}

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every or not _samples(self.model):
            return
        made = self.model.sample(self.n, seed=self.seed)
        self.samples[str(epoch + 1)] = np.asarray(made)

    def figures(self, run: Any) -> dict:
        """The samples, an epoch a row."""
        if not self.samples:
            return {}
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return {}
        chosen = [*self.samples]
        if len(chosen) > _MOST:  # evenly, the first and the last among them
            places = np.linspace(0, len(chosen) - 1, _MOST).round().astype(int)
            chosen = [chosen[i] for i in places]
        rows = [self.samples[epoch] for epoch in chosen]
        first = rows[0]
        if first.ndim == 2 and first.shape[1] == 2:
            figure = Figure(figsize=(1.8 * len(rows), 2), layout="constrained")
            for axes, epoch, points in zip(
                figure.subplots(1, len(rows), squeeze=False)[0],
                chosen,
                rows,
                strict=True,
            ):
                axes.plot(*points.T, ".", markersize=2, color="#0072b2")
                axes.set_title(f"epoch {epoch}", fontsize=9)
            return {"Samples through training": figure}
        if first.ndim not in (3, 4):
            return {}
        figure = Figure(figsize=(6, 0.65 * len(rows)), layout="constrained")
        for axes, epoch, images in zip(
            figure.subplots(len(rows), 1, squeeze=False)[:, 0],
            chosen,
            rows,
            strict=True,
        ):
            images = images if images.ndim == 4 else images[..., None]
            picture = np.concatenate([*images], axis=1)
            if picture.shape[-1] != 3:
                picture = picture.mean(axis=-1)
            low, high = picture.min(), picture.max()
            axes.imshow((picture - low) / max(high - low, 1e-6), cmap="gray")
            axes.set(xticks=[], yticks=[], ylabel=epoch)
        return {"Samples through training, an epoch a row": figure}


def _samples(model):
    """Whether a model makes samples from their number and a seed alone."""
    sample = getattr(model, "sample", None)
    if not callable(sample) or not getattr(model, "generative", True):
        return False
    try:
        inspect.signature(sample).bind(1, seed=0)
    except TypeError:
        return False
    return True
