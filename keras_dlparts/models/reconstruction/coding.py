"""What a trained autoencoder can be asked: codes, reconstructions, samples, figures.

    encode        h = f(x), of a variational code its mean
    decode        x^ = g(h)
    sample        x^ = g(z), z ~ N(0, I)
    interpolate   x^ = g((1 - t) f(a) + t f(b)),   t = 0 .. 1

Shapes: x (batch, ...), h (batch, units). All take arrays and give arrays of
float32 at least, in inference.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts.backend import feeding
from keras_dlparts.models.reconstruction import (
    autoencoder_figures,
    importance,
    stacking,
)
from keras_dlparts.models.reconstruction.likelihoods import means
from keras_dlparts.support.bounds import Positive
from keras_dlparts.support.checks import check_count


class Coding(keras.Model):
    """The questions; `Autoencoder` has the net and its loss."""

    def encode(self, x: Any, batch_size: int = 1000) -> np.ndarray:
        """The code of each row of x, of a variational code its mean."""
        self._must_be_built(x)

        def code(x, training):
            h = self.encoder(ops.cast(x, self.compute_dtype), training=training)
            if self.sampling is not None:
                return self.sampling.moments(h)[0]
            return self._coded(h, training)

        return feeding.outputs(code, _array(x), batch_size)

    def decode(self, codes: Any, batch_size: int = 1000) -> np.ndarray:
        """What each code stands for, of the shape of the input."""
        self._must_be_built()

        def decoded(z, training):
            return means(self.likelihood, self.decoder(z, training=training))

        return feeding.outputs(decoded, _array(codes), batch_size)

    def reconstruct(self, x: Any, batch_size: int = 1000) -> np.ndarray:
        """The input as it comes back, without corruption or draws."""
        return feeding.outputs(self, _array(x), batch_size)

    @property
    def generative(self) -> bool:
        """Whether `sample` can draw: whether the code is variational."""
        return self.sampling is not None

    def sample(self, n: int, seed: int | None = None) -> np.ndarray:
        """What so many codes drawn from the prior N(0, I) stand for: the means of x.

        Args:
            n: Integer, `>= 1`.
            seed: Optional integer, for draws that repeat.
        """
        check_count("n", n)
        if not self.generative:
            raise ValueError(
                "Only a variational code has a prior to draw from. Received: "
                f"code={self.code!r}; give code=GaussianSampling(units), or decode "
                "codes of your own"
            )
        random = np.random.default_rng(seed)
        return self.decode(random.normal(size=(n, self.sampling.units)))

    def interpolate(self, a: Any, b: Any, steps: int = 8) -> np.ndarray:
        """The straight walk from the codes of a to those of b, decoded.

        Args:
            a: Array `(rows, ...)`.
            b: Array of the same shape.
            steps: Integer, `>= 2`, the ends included.

        Returns: an array `(rows, steps, ...)`.
        """
        check_count("steps", steps, 2)
        start, end = self.encode(a), self.encode(b)
        if start.shape != end.shape:
            raise ValueError(
                "`a` and `b` must have as many rows. Received: codes of shapes "
                f"{start.shape} and {end.shape}"
            )
        t = np.linspace(0, 1, steps).reshape(1, -1, *(1 for _ in start.shape[1:]))
        walk = (1 - t) * start[:, None] + t * end[:, None]
        found = self.decode(walk.reshape(-1, *start.shape[1:]))
        return found.reshape(len(start), steps, *found.shape[1:])

    def log_likelihood(
        self, x: Any, samples: int = 200, batch_size: int = 100
    ) -> importance.LogLikelihood:
        """Mean log p(x) in nats, by importance weighting, of a variational code.

        In expectation the estimate is too low, the less the more samples; it warns
        where a single sample has nearly all the weight.

        Args:
            x: Array `(rows, ...)`.
            samples: Integer, `>= 1`. Codes drawn of each row.
            batch_size: Integer, `>= 1`.
        """
        check_count("samples", samples)
        check_count("batch_size", batch_size)
        if self.sampling is None:
            raise ValueError(
                "Only a variational autoencoder has a likelihood of its input. "
                f"Received: code={self.code!r}; give code=GaussianSampling(units)"
            )
        self._must_be_built(x)
        return importance.log_likelihood(self, _array(x), samples, batch_size)

    def pretrain(
        self,
        x: Any,
        epochs: int = 10,
        batch_size: int = 100,
        learning_rate: Positive = 1e-3,
        fit: Callable | None = None,
    ) -> list[dict[str, list[float]]]:
        """Learn the layers one on another, each as an autoencoder of its own.

        Layer l learns to give back what the layers below it give, with the corruption
        and the penalties of the whole, by Adam. The layer that undoes it in a mirrored
        decoder learns with it. All have likelihood "mse" but the first, which has that
        of the whole. A variational code is left for `fit`.

        Args:
            x: Array `(rows, ...)`.
            epochs: Integer, `>= 0`. Of each layer.
            batch_size: Integer, `>= 1`.
            learning_rate: Float, of Adam.
            fit: A function `(model, x, epochs, batch_size, layer_number) -> history`
                that trains; None for Keras' own `fit`.

        Returns: a list of histories, a dict of lists for each layer.
        """
        self._must_be_built(x)
        return stacking.pretrain(
            self, type(self), _array(x), epochs, batch_size, learning_rate, fit
        )

    def figures(self, run: Any) -> dict:
        """Reconstructions, samples, the code in two dimensions, filters, a walk."""
        return autoencoder_figures.figures(self, run)

    def _must_be_built(self, x=None):
        if not self.built:
            if x is None:
                raise ValueError(
                    "The model must have weights. Received: one that was never called; "
                    "give `input_shape=`, or call `fit` first"
                )
            self.build((None, *np.shape(x)[1:]))


def _array(x):
    return ops.convert_to_numpy(x).astype("float32")
