"""What a trained encoder-decoder does besides training: contexts, and new sequences."""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.models.sequences import decoding
from keras_dlparts.models.sequences.sequence_inputs import augmented
from keras_dlparts.support.checks import check_count, check_number, check_word

METHODS = ("greedy", "sample", "beam")


class Writes:
    """Methods of `EncoderDecoder` that take arrays and give arrays.

    Each is one compiled call for a batch. The weights are its arguments, so that it
    need not be compiled again after training.
    """

    def encode(self, source: Any, batch_size: int = 256) -> np.ndarray:
        """The contexts of sources, an array `(rows, context)`.

        Args:
            source: Array, as the model takes it.
            batch_size: Integer, how many are read at once.
        """
        self._check_built()
        source = np.asarray(source)
        if self.source_symbols and source.size:
            least, most = source.min(), source.max()
            if least < 0 or most >= self.source_symbols:
                raise ValueError(
                    "Sources must be symbols from 0 to source_vocabulary - 1. Received:"
                    f" {least} to {most}, source_vocabulary={self.source_symbols}"
                )
        run = self._compiled("encode", self.contexts)
        return _by_batches(run, [source], batch_size)[0]

    def decode(
        self,
        context: Any,
        length: int | None = None,
        method: Literal["greedy", "sample", "beam"] = "greedy",
        beams: int = 4,
        temperature: float = 1.0,
        seed: int | None = None,
        scores: bool = False,
        batch_size: int = 256,
    ) -> Any:
        """The sequences that are written from contexts.

        Args:
            context: Array `(rows, context)`.
            length: Integer, how many steps are taken. None: the model's `length`, or
                that of the targets that it was built on.
            method: `"greedy"`, the likeliest symbol in each step; `"sample"`, a draw
                from the distribution; `"beam"`, the likeliest sequence that a search
                finds which keeps several.
            beams: Integer, how many sequences a beam search keeps.
            temperature: Float, `> 0`. Samples are drawn in proportion to p^(1/T).
            seed: Integer, for samples that repeat. They are the same on all backends.
            scores: Whether log p of each sequence is given too.
            batch_size: Integer, how many are written at once.

        Returns: symbols `(rows, length)`, 0 after the `end`; or real values `(rows,
        length, ...)`; with `scores` a pair, of these and log p `(rows,)`.
        """
        self._check_built()
        check_word("method", method, METHODS)
        check_count("beams", beams)
        check_number("temperature", temperature, above=0)
        length = self._steps(length)
        context = np.asarray(context, "float32")
        if context.ndim != 2 or context.shape[1] != self.to_context.units:
            raise ValueError(
                "`context` must be what `encode` gives, (rows, "
                f"{self.to_context.units}). Received: an array {context.shape}"
            )
        if not self.vocabulary:
            if method != "greedy" or scores:
                raise ValueError(
                    "Real values are written as they come, and have no probabilities. "
                    f"Received: method={method!r}, scores={scores}; leave them out"
                )
            run = self._compiled("roll", self._roll, length=length)
            (values,) = _by_batches(run, [context], batch_size)
            return values.reshape(len(values), length, *self.step_shape)
        if method == "beam":
            run = self._compiled("beam", self._beam, length=length, beams=beams)
            written, log_p = _by_batches(run, [context], batch_size)
            written, log_p = written[:, 0], log_p[:, 0]
        else:
            run = self._compiled(method, self._write, length=length)
            given = [context]
            if method == "sample":
                random = np.random.default_rng(seed)
                shape = (length, self.vocabulary)

                def gumbel(rows):
                    return random.gumbel(size=(rows, *shape), scale=temperature)

                given.append(gumbel)
            written, log_p = _by_batches(run, given, batch_size)
        return (written, log_p) if scores else written

    def generate(
        self,
        source: Any,
        length: int | None = None,
        method: Literal["greedy", "sample", "beam"] = "greedy",
        beams: int = 4,
        temperature: float = 1.0,
        seed: int | None = None,
        scores: bool = False,
        batch_size: int = 256,
    ) -> Any:
        """The answers to sources: `decode` of what `encode` gives.

        Args:
            source: Array, as the model takes it.
            length, method, beams, temperature, seed, scores, batch_size: Of `decode`.
        """
        return self.decode(
            self.encode(source, batch_size),
            length,
            method,
            beams,
            temperature,
            seed,
            scores,
            batch_size,
        )

    def augment(
        self,
        source: Any,
        labels: Any = None,
        augmentation: keras.layers.Layer | None = None,
        length: int | None = None,
        **options,
    ) -> Any:
        """New sequences, written from the augmented contexts of sources.

        All sources are one batch for the augmentation, whose memory and sums they join.

        Args:
            source: Array, as the model takes it.
            labels: Array `(rows,)`, where the augmentation needs them.
            augmentation: A layer for contexts; None for the model's own.
            length: Integer, of `decode`.
            **options: The other arguments of `decode`.
        """
        layer = self.augmentation if augmentation is None else augmentation
        if layer is None:
            raise ValueError(
                "There must be an augmentation of the contexts. Received: a model "
                "without; give `augmentation=FeatureSpaceAugmentation(...)`"
            )
        c = ops.convert_to_tensor(self.encode(source))
        labels = None if labels is None else ops.convert_to_tensor(labels)
        # In the first call it sees all contexts, so that in the second each has its
        # neighbours among them.
        augmented(layer, c, labels, training=True)
        c = augmented(layer, c, labels, training=True)
        return self.decode(ops.convert_to_numpy(c), length, **options)

    # The loops, of tensors.

    def _write(self, c, noise=None, length=None):
        if noise is not None:
            noise = ops.transpose(noise, (1, 0, 2))
        states = (c, *self.first_states(c))
        return decoding.write(self._step, states, self.end, length, noise)

    def _beam(self, c, length, beams):
        states = (c, *self.first_states(c))
        return decoding.beam(self._step, states, self.end, length, beams)

    def _roll(self, c, length):
        first = ops.zeros((ops.shape(c)[0], self.to_output.units), self.compute_dtype)
        states = (c, *self.first_states(c))
        return (decoding.roll(self._step, states, first, length),)

    def _step(self, previous, states):
        """The context goes along with the states, so that a beam keeps its own."""
        outputs, new = self.step(states[0], previous, states[1:])
        return outputs, (states[0], *new)

    def _compiled(self, name, function, **static):
        """A compiled function of arrays that is made once."""

        def run(*tensors):
            found = function(*tensors, **static)
            return found if isinstance(found, tuple) else (found,)

        return backend.reading(self, run, key=(name, *static.items()))

    def _steps(self, length):
        length = length or self.length or self.built_on[1][1]
        if length is None:
            raise ValueError(
                "How many steps to write must be known. Received: length=None, for a "
                "model built on targets of any length; give `length`"
            )
        return check_count("length", length)

    def _check_built(self):
        if not self.built:
            raise ValueError(
                "The model must be built before it writes. Received: a new one; call "
                "it, or `fit`, on sources and targets first"
            )


def _by_batches(run, given, batch_size):
    """What a compiled function gives for all rows, a list of arrays, floats in float32.

    Args:
        run: The function of arrays of one number of rows.
        given: Arrays; or functions that give so many rows, in their order.
        batch_size: Integer. A last batch of fewer rows is filled up, for a batch of
            another size would be compiled anew.
    """
    check_count("batch_size", batch_size)
    count = len(given[0])
    if not count:
        raise ValueError("There must be at least one row. Received: none")
    batch, found = min(batch_size, count), []
    for start in range(0, count, batch):
        size = min(batch, count - start)
        rows = [g(size) if callable(g) else g[start : start + size] for g in given]
        rows = [np.concatenate([r, np.repeat(r[:1], batch - size, 0)]) for r in rows]
        rows = [r.astype("float32") if r.dtype == "float64" else r for r in rows]
        made = map(backend.at_least_float32, run(*rows))
        found.append([ops.convert_to_numpy(array)[:size] for array in made])
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]
