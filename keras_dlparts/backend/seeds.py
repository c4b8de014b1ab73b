"""Random seeds that differ by replica, and draws that loops may make."""

import contextlib
import random
import sys
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts.backend import keras_private, threefry
from keras_dlparts.backend.basics import name
from keras_dlparts.backend.replication import replica

# Odd and large, so that the seeds of two replicas do not meet as they count up.
_REPLICA_STRIDE = 0x9E3779B1


@keras.saving.register_keras_serializable("dlparts")
class SeedGenerator(keras.random.SeedGenerator):
    """Seeds for random parts, a different stream on every replica.

    Keras' own generator hands the same seeds to all replicas of a
    `tf.distribute` strategy, so they all drop the same elements. This one adds
    the replica's id to the seed; on one device it equals Keras'.

    Args:
        seed: int or None (drawn at random, repeatable by
            `keras.utils.set_random_seed`).

    Example:

    >>> import keras
    >>> ours, theirs = SeedGenerator(7), keras.random.SeedGenerator(7)
    >>> bool((keras.random.uniform((3,), seed=ours)
    ...       == keras.random.uniform((3,), seed=theirs)).numpy().all())
    True
    """

    def __init__(self, seed: int | None = None, **kwargs):
        super().__init__(seed, **kwargs)

    def next(self, ordered=True):
        seed = super().next(ordered)
        this, count = replica()
        if count == 1:
            return seed
        offset = ops.cast(this, seed.dtype) * ops.cast(_REPLICA_STRIDE, seed.dtype)
        return seed + ops.stack([offset, ops.zeros_like(offset)])


def own_draws(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Let a layer, and all layers in it, draw other numbers on each replica.

    The replicas of a `tf.distribute` strategy have equal copies of the state of a
    `keras.random.SeedGenerator`, so Keras' own Dropout, GaussianNoise or RandomFlip
    draws the same on all of them: the mask of sample i is that of sample i of every
    other share of the batch. This mixes the replica's id into the seeds that such
    layers draw. On one device, and on JAX, nothing changes; neither does what is saved.

    Call it on a model before it trains. `dlparts train` does so.

    Args:
        layer: A layer or a `keras.Model`.

    Returns: the layer.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5)])
    >>> isinstance(own_draws(model).layers[0].seed_generator, SeedGenerator)
    True
    """
    for each in keras_private.layers_in(layer):
        for generator in keras_private.seed_generators(each):
            if type(generator) is keras.random.SeedGenerator:
                # The layer and whoever follows its state keep the same object.
                generator.__class__ = SeedGenerator
    return layer


class Seeded:
    """A layer as a function of its input and a seed, whatever it drew before.

    The same input and seed give the same output, in any process and thread. Nothing of
    the layer changes, and it is computed on the CPU: for work on data that must repeat.

    Args:
        layer: A built layer. What it holds now is what it is computed with.

    Example:

    >>> noise = keras.layers.GaussianNoise(1.0)
    >>> noise.build((None, 2))
    >>> noisy, x = Seeded(noise), np.zeros((1, 2), "float32")
    >>> bool((noisy(x, seed=3) == noisy(x, seed=3)).all())
    True
    """

    def __init__(self, layer):
        self.layer = layer
        states = {
            id(generator.state)
            for each in keras_private.layers_in(layer)
            for generator in keras_private.seed_generators(each)
        }
        # Values, so that a thread without a strategy's scope reads no variables of it.
        self._trainable = [*map(ops.convert_to_numpy, layer.trainable_variables)]
        self._others = [
            (v.dtype, None if id(v) in states else ops.convert_to_numpy(v))
            for v in layer.non_trainable_variables
        ]
        self._training = keras_private.takes_training(layer)

    def __call__(self, inputs, seed, training=True):
        """The outputs for arrays, or a dict of arrays, as numpy arrays.

        Args:
            inputs: What the layer takes.
            seed: Integer, `>= 0`.
            training: Boolean.
        """
        words = np.random.SeedSequence(seed).generate_state(len(self._others) + 1)
        words = [int(word) >> 1 for word in words]  # what an int32 holds
        with keras.device("cpu:0"), _torch_seeded(words[-1]):
            inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs)
            others = [
                ops.convert_to_tensor([word, 0] if value is None else value, dtype)
                for word, (dtype, value) in zip(words[:-1], self._others, strict=True)
            ]
            trainable = [*map(ops.convert_to_tensor, self._trainable)]
            options = {"training": training} if self._training else {}
            outputs, _ = self.layer.stateless_call(trainable, others, inputs, **options)
            return keras.tree.map_structure(ops.convert_to_numpy, outputs)


@contextlib.contextmanager
def _torch_seeded(seed):
    """PyTorch's own generator seeded, since Keras' Dropout draws from it there."""
    if name() != "torch":
        yield
        return
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        yield


class _GivenSeed(keras.random.SeedGenerator):
    """Hands Keras' random functions a seed that is already drawn."""

    def __init__(self, seed):
        self.seed = seed

    def next(self, ordered=True):
        return self.seed


def draw(
    kind: Literal["uniform", "normal"], shape: tuple, seed: Any, step: Any = 0
) -> Any:
    """Draws of a seed that `SeedGenerator.next` gave, other ones for each `step`.

    For loops, in which a generator cannot count up.

    Args:
        kind: `"uniform"`, in [0, 1), or `"normal"`.
        shape: Tuple of integers.
        seed: What `SeedGenerator.next` gave.
        step: Integer or tensor, such as the number of the round.
    """
    offset = ops.cast(step, seed.dtype) * ops.cast(1_000_003, seed.dtype)
    seed = seed + ops.stack([offset, ops.zeros_like(offset)])
    if name() == "jax" and threefry.gives_jax_numbers(seed, shape):
        return (threefry.uniform if kind == "uniform" else threefry.normal)(seed, shape)
    seed = _GivenSeed(seed)
    function = keras.random.uniform if kind == "uniform" else keras.random.normal
    return function(shape, dtype="float32", seed=seed)


def seed_globals(*seeds):
    """Seed the process-wide generators: Python's, numpy's and PyTorch's.

    Parts have seed generators of their own. Callbacks and data sources may draw from
    these, and on PyTorch Keras' own Dropout does. PyTorch's are seeded on other
    backends too where it is imported, as for a `DataLoader`.
    """
    words = np.random.SeedSequence(seeds).generate_state(1)
    random.seed(int(words[0]))
    np.random.seed(words)
    if torch := _torch():
        torch.manual_seed(int(words[0]))


def _torch():
    """PyTorch where it is imported, as by its backend; else None."""
    return sys.modules.get("torch")


def generators():
    """The states of the process-wide generators, as plain values; see
    `set_generators`."""
    version, words, gauss = random.getstate()
    states = {
        "python": [version, np.array(words), gauss],
        "numpy": [*np.random.get_state()],
    }
    if torch := _torch():
        states["torch"] = torch.get_rng_state().numpy()
        states["cuda"] = [state.numpy() for state in torch.cuda.get_rng_state_all()]
    return states


def set_generators(states):
    """Put the process-wide generators where `generators` found them."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(map(int, words)), gauss))
    np.random.set_state(tuple(states["numpy"]))
    torch = _torch()
    if torch and "torch" in states:
        torch.set_rng_state(torch.from_numpy(states["torch"]))
        torch.cuda.set_rng_state_all([torch.from_numpy(s) for s in states["cuda"]])
