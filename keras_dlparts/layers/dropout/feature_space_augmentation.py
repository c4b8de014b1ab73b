"""Feature-space augmentation: new training samples made between hidden vectors.

    c_j             the context vector of sample j, what an encoder makes of it
    noise           c_j + strength X,  X_i ~ N(0, sigma_i^2)
    interpolate     c_j + strength (c_k - c_j)
    extrapolate     c_j + strength (c_j - c_k)

sigma_i is the standard deviation of element i over all contexts seen so far, by
Chan's form of Welford's sums (b contexts of the batch joined to n before):

    d = mean_b - mean    n <- n + b    mean <- mean + d b / n
    S <- S + S_b + d^2 b (n - b) / n   sigma^2 = S / n

c_k is drawn from the K nearest neighbours of c_j in a memory of recent contexts, among
those with its label; where there is none, as in the first batch, c_j passes. Squared
distances are |a|^2 + |b|^2 - 2 a b, of contexts less the mean of the batch: a large
value that all contexts share would leave nothing but its rounding.
Shapes: c (batch, ...) and labels (batch,) or (batch, 1) -> (batch, ...). Inference:
c passes, and labels are not needed.
DeVries & Taylor 2017, "Dataset augmentation in feature space", arXiv:1702.05538.
"""

import math
from typing import Literal

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.support.checks import check_count, check_number, check_word

MODES = ("noise", "interpolate", "extrapolate")
_ALONE = "neighbours are looked for in the replica's own memory"
CASES = {
    "FeatureSpaceAugmentation": (
        {
            "arguments": {"seed": 3},
            "input_shape": (4, 5),
            "still": {"strength": 1e-30},
            "per_share": "the sums of squares are taken in the replica's share",
        },
        {
            "arguments": {"strength": 1.0, "rate": 0.5},
            "input_shape": (4, 3, 2),
            "still": {"strength": 1e-30},
            "per_share": "the sums of squares are taken in the replica's share",
        },
        {
            "arguments": {"mode": "interpolate", "neighbours": 2, "memory": 9},
            "input_shape": [(6, 4), (6, 1)],
            "alone": _ALONE,
            "input_dtype": ["float32", "int32"],
        },
        {
            "arguments": {"mode": "extrapolate", "neighbours": 3, "memory": 20},
            "input_shape": [(12, 2, 3), (12,)],
            "alone": _ALONE,
            "input_dtype": ["float32", "int32"],
        },
    )
}


def joined(count, mean, square, c):
    """(n, mean, S) of all contexts, from those before and of the rows c."""
    b = ops.cast(ops.shape(c)[0], "float32")
    n = count + b
    batch_mean = ops.mean(c, axis=0)
    d = batch_mean - mean
    own = ops.sum(ops.square(c - batch_mean), axis=0)
    return n, mean + d * b / n, square + own + ops.square(d) * b * (count / n)


def nearest(c, labels, memory, memory_labels, k):
    """(indices, valid): the k nearest rows of the memory with the same label.

    A row that equals c, such as the sample itself an epoch ago, is no neighbour, and
    neither is one with a label below 0, as the empty places of the memory have.
    `valid` is False where there are fewer than k. Both are (batch, k).
    """
    shared = ops.mean(c, axis=0)
    c, memory = c - shared, memory - shared
    squares = ops.sum(ops.square(c), axis=1)[:, None]
    squares = squares + ops.sum(ops.square(memory), axis=1)[None]
    distances = squares - 2 * ops.matmul(c, ops.transpose(memory))
    same = ops.equal(labels[:, None], memory_labels[None])
    same = ops.logical_and(same, memory_labels[None] >= 0)
    # Up to rounding: the difference of two float32 sums.
    usable = ops.logical_and(same, distances > 1e-6 * squares)
    ranks = ops.where(usable, -distances, -math.inf)
    closest, indices = ops.top_k(ranks, k)
    return indices, closest > -math.inf


def moved(c, neighbour, strength):
    """c + strength (neighbour - c); a negative strength extrapolates."""
    return c + strength * (neighbour - c)


@keras.saving.register_keras_serializable("dlparts")
class FeatureSpaceAugmentation(keras.layers.Layer):
    """Augments training data in the space of hidden vectors, whatever the data is.

    It stands after an encoder: of sequences (the last state), of images (the code of
    an autoencoder), of anything. To interpolate or extrapolate it takes the labels as
    a second input, `layer([contexts, labels])`; in inference `layer(contexts)` is
    enough, so a model without the input for labels can share it. The paper trains the
    encoder first; one that goes on training counts in sigma and in the memory as it
    was at each step.

    On several replicas each has a memory and sums of its own, and draws other noise.
    What is read and saved is the mean of the sums, with `count` that of all contexts,
    and the first replica's memory.

    Args:
        mode: `"noise"`, `"interpolate"` or `"extrapolate"`.
        strength: Float, `> 0`: gamma of the noise, lambda of the others.
        neighbours: Integer. K, how many neighbours c_k is drawn from.
        memory: Integer, `>= neighbours`. How many recent contexts are kept to look
            for neighbours. Each step compares the batch with all of them.
        rate: Float, `0 < rate <= 1`. The share of samples that is augmented.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Contexts, a tensor of shape `(batch, ...)`, all sizes but the batch's
            known; or a list `[contexts, labels]`, with labels the numbers of classes,
            `>= 0`, of shape `(batch,)` or `(batch, 1)`. A negative label says that a
            sample has no class: it passes, and no other sample moves
            towards it.
        training: Boolean. Whether to augment or to pass the contexts on.

    Output shape: that of the contexts. Masks of the contexts pass.

    Example:

    >>> import numpy as np
    >>> layer = FeatureSpaceAugmentation("interpolate", neighbours=1, memory=4)
    >>> labels = np.array([0, 0, 1])
    >>> first = layer([np.array([[0.0], [2.0], [5.0]]), labels], training=True)
    >>> y = layer([np.array([[0.5], [4.0], [5.0]]), labels], training=True)
    >>> keras.ops.convert_to_numpy(y).ravel().tolist()  # the only 1 is its own copy
    [0.25, 3.0, 5.0]

    Reference: DeVries & Taylor 2017, https://arxiv.org/abs/1702.05538
    """

    def __init__(
        self,
        mode: Literal["noise", "interpolate", "extrapolate"] = "noise",
        strength: float = 0.5,
        neighbours: int = 10,
        memory: int = 1024,
        rate: float = 1.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_word("mode", mode, MODES)
        check_number("strength", strength, above=0)
        if not 0 < check_number("rate", rate) <= 1:
            raise ValueError(
                "`rate` must satisfy 0 < rate <= 1: at 0 nothing is augmented. "
                f"Received: rate={rate}"
            )
        check_count("neighbours", neighbours)
        check_count("memory", memory)
        if neighbours > memory:
            raise ValueError(
                "`neighbours` are looked for in the memory, so there cannot be more "
                f"of them. Received: neighbours={neighbours}, memory={memory}; raise "
                "`memory` to many times that: it holds all classes"
            )
        self.mode = mode
        self.strength = strength
        self.neighbours = neighbours
        self.memory = memory
        self.rate = rate
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed)
        self.supports_masking = True
        self.autocast = False  # distances and sums are taken in float32

    def build(self, input_shape):
        shape = input_shape
        if _is_several(shape):
            shape = shape[0]
        if len(shape) < 2 or any(size is None for size in shape[1:]):
            raise ValueError(
                f"{self.name}: contexts must be vectors of a known size: each element "
                "has a deviation of its own. Received: input shape "
                f"{tuple(shape)}; pool or flatten a sequence first, or take the "
                "encoder's last state"
            )
        size = math.prod(shape[1:])
        if self.mode == "noise":
            self.count = backend.running_variable((), "count")
            self.mean = backend.running_variable((size,), "mean")
            self.square = backend.running_variable((size,), "square")
        else:
            self.contexts = backend.running_variable(
                (self.memory, size), "contexts", aggregation="only_first_replica"
            )
            self.labels = backend.running_variable(
                (self.memory,),
                "labels",
                keras.initializers.Constant(-1),
                "only_first_replica",
                "int32",
            )

    @property
    def deviation(self):
        """The standard deviation of each element so far, sigma, of `mode="noise"`."""
        return ops.sqrt(self.square / ops.maximum(self.count, 1))

    def call(self, inputs, training=False):
        several = isinstance(inputs, list | tuple)
        c, labels = inputs if several else (inputs, None)
        if not training:
            return ops.cast(c, self.compute_dtype)
        rows = ops.reshape(ops.cast(c, "float32"), (-1, math.prod(c.shape[1:])))
        if self.mode == "noise":
            new = self._noised(rows)
        else:
            if labels is None:
                raise ValueError(
                    f"{self.name}: `mode={self.mode!r}` needs the labels in training: "
                    "neighbours are of the same class. Call it as "
                    "`layer([contexts, labels])`. Received: contexts alone"
                )
            labels = ops.cast(ops.reshape(labels, (-1,)), "int32")
            new = self._between(rows, labels)
        if self.rate < 1:
            chosen = self._uniform((ops.shape(rows)[0], 1)) < self.rate
            new = ops.where(chosen, new, rows)
        return ops.cast(ops.reshape(new, ops.shape(c)), self.compute_dtype)

    def _uniform(self, shape):
        return keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)

    def _noised(self, rows):
        weight = backend.replica()[1]  # read from several, the mean is the sum again
        sums = self.count / weight, self.mean, self.square / weight
        n, mean, square = joined(*sums, ops.stop_gradient(rows))
        self.count.assign(n * weight)
        self.mean.assign(mean)
        self.square.assign(square * weight)
        noise = keras.random.normal(
            ops.shape(rows), dtype="float32", seed=self.seed_generator
        )
        return rows + self.strength * noise * ops.sqrt(square / n)

    def _between(self, rows, labels):
        kept = ops.stop_gradient(rows)
        contexts = ops.convert_to_tensor(self.contexts)
        indices, valid = nearest(
            kept, labels, contexts, ops.convert_to_tensor(self.labels), self.neighbours
        )
        found = ops.sum(ops.cast(valid, "float32"), axis=1)
        pick = ops.floor(self._uniform((ops.shape(rows)[0],)) * found)
        pick = ops.cast(pick, "int32")[:, None]
        chosen = ops.take_along_axis(indices, pick, axis=1)
        neighbour = ops.take(contexts, chosen[:, 0], axis=0)
        sign = 1 if self.mode == "interpolate" else -1
        new = moved(rows, neighbour, sign * self.strength)
        self._remember(kept, labels)
        return ops.where(found[:, None] > 0, new, rows)

    def _remember(self, rows, labels):
        """Put a batch in front, and forget as many at the end."""
        for variable, new in ((self.contexts, rows), (self.labels, labels)):
            both = ops.concatenate([new, ops.convert_to_tensor(variable)], axis=0)
            variable.assign(ops.reshape(both[: self.memory], variable.shape))

    def compute_mask(self, inputs, previous_mask):
        return previous_mask[0] if isinstance(inputs, list | tuple) else previous_mask

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0] if _is_several(input_shape) else input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "mode": self.mode,
            "strength": self.strength,
            "neighbours": self.neighbours,
            "memory": self.memory,
            "rate": self.rate,
            "seed": self.seed,
        }


def _is_several(shape):
    """Whether a shape is one of a list of inputs."""
    return bool(shape) and isinstance(shape[0], list | tuple)
