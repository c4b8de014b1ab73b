"""S-cells of a Neocognitron: a pattern against its inhibition, learnt by seed cells.

    e_k = sum_i a_ik u_i            excitation from what the cell's field holds
    v   = sqrt(sum_i c_i u_i^2)     the inhibitory cell, sum_i c_i = 1
    y_k = r phi((1 + e_k) / (1 + kappa b_k v) - 1)          phi(x) = max(x, 0)

    kappa = 2r / (1 + r),  db = q v / 2     "1980"
    kappa = r / (1 + r),   db = q v         "1988"          da = q c u in both

Inhibition shunts: after enough learning y = (1 + r) s - r where the similarity s, the
cosine of what is seen and what was learnt under the weights c, exceeds r / (1 + r).
The two conventions give the same y; b in one is half of that in the other.
How winners are found: `seed_cells.py`.
Shapes: u (batch, height, width, planes in) -> y (batch, height, width, planes); height
and width as of a convolution. Training learns; inference does not.
Fukushima 1980, "Neocognitron: A self-organizing neural network model for a mechanism
of pattern recognition unaffected by shift in position"; Fukushima 1988, "Neocognitron:
A hierarchical neural network capable of visual pattern recognition".
"""

from typing import Literal

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.neocognitron import fields, seed_cells
from keras_dlparts.layers.neocognitron.unlearnt import Unlearnt
from keras_dlparts.support.checks import check_count, check_number, check_word
from keras_dlparts.support.losses import add_loss

CASES = {
    "NeocognitronS": (
        {
            "arguments": {"planes": 3, "kernel_size": 3, "learn_for": 8},
            "input_shape": (4, 5, 6, 2),
            "positive": True,
        },
        {
            "arguments": {
                "planes": 3,
                "kernel_size": (2, 3),
                "selectivity": 0.5,
                "padding": "same",
                "convention": "1980",
                "learning": "gradient",
            },
            "input_shape": (4, 4, 5, 2),
            "positive": True,
        },
    )
}
CONVENTIONS = ("1980", "1988")
# Connections from which seed cells start: so weak that any pattern that was learnt
# wins over them, and positive, so that what no plane has learnt yet finds a new one.
_WEAK = 0.01


def respond(e, v, b, r, convention):
    """r phi((1 + e) / (1 + kappa b v) - 1), as small e keep their digits."""
    kappa = r / (1 + r) * (2 if convention == "1980" else 1)
    h = kappa * b * v
    return r * ops.relu((e - h) / (1 + h))


def inhibitory(u, c, padding):
    """v (batch, height, width, 1), whose gradient is 0 where v is."""
    c = c[..., None]
    square = ops.conv(ops.square(u), c, padding=padding, data_format="channels_last")
    return backend.root(square)


@keras.saving.register_keras_serializable("dlparts")
class NeocognitronS(keras.layers.Layer):
    """Planes of S-cells, each of which finds one pattern wherever it is.

    With `learning="seeds"` the layer teaches itself in every training pass, without
    labels and without a gradient; its connections do not count as trainable weights,
    and no optimizer moves them. The samples of a batch are presented one after
    another, so what is learnt depends on their order and not on the size of batches,
    and a large batch is learnt no faster. On
    several replicas each presents the samples of all, in the order of the whole batch,
    and all have the same connections. `model.compile(optimizer)` needs no loss, for
    the layer adds one of 0. With `trainable=False` nothing is learnt.

    A net learns stage by stage: let the first S-layer have `learn_for=1000` and the
    second `learn_after=1000`. The logs have `NAME_unlearnt_planes`, the planes of which
    no cell was a seed yet; they respond to everything a little. A warning tells if
    those are all.

    Args:
        planes: Integer, `>= 1`. The planes of cells, so how many patterns there can be.
        kernel_size: Integer or two. The field that a cell sees.
        selectivity: Float, `> 0`, r. A pattern is one that was learnt if its similarity
            exceeds r / (1 + r): 0.8 for 4, 0.5 for 1.
        reinforcement: Float, `> 0`, q. What one presentation adds.
        column_size: Integer or two. Cells so close around a cell compete with it.
        padding: `"valid"` or `"same"`, as of `keras.layers.Conv2D`.
        convention: `"1980"` or `"1988"`, in which paper's units b is.
        learning: `"seeds"`; or `"gradient"`, where a and b are trainable weights that
            stay `>= 0`. They start from up to `reinforcement` times c, and from a
            quarter of it.
        decay: Float, `> 0` and at most 1. c falls by this factor a cell of distance.
        learn_after: Integer, `>= 0`. Samples that pass before seed cells learn.
        learn_for: Integer, `>= 1`. Samples that they learn from after that; None for
            all.
        kernel_initializer: Of a; None for small positive draws times c.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, planes)`, `>= 0`.
        training: Boolean. Whether to learn.

    Output shape: `(batch, height, width, planes)`, in height and width as of a
    convolution.

    Example:

    >>> import numpy as np
    >>> bars = np.zeros((2, 5, 5, 1), "float32")
    >>> bars[0, :, 2] = bars[1, 2, :] = 1  # a vertical and a horizontal one
    >>> layer = NeocognitronS(2, 5)
    >>> model = keras.Sequential([keras.Input((5, 5, 1)), layer])
    >>> _ = layer(bars, training=True)  # `fit` does so too
    >>> np.argmax(model.predict(bars, verbose=0)[:, 0, 0], axis=-1).tolist() in (
    ...     [0, 1], [1, 0]  # a plane for each
    ... )
    True

    Reference: Fukushima 1980, https://doi.org/10.1007/BF00344251
    """

    def __init__(
        self,
        planes: int,
        kernel_size: int | tuple[int, int] = 5,
        selectivity: float = 4.0,
        reinforcement: float = 16.0,
        column_size: int | tuple[int, int] = 5,
        padding: Literal["valid", "same"] = "valid",
        convention: Literal["1980", "1988"] = "1988",
        learning: Literal["seeds", "gradient"] = "seeds",
        decay: float = 0.9,
        learn_after: int = 0,
        learn_for: int | None = None,
        kernel_initializer: str | keras.initializers.Initializer | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("planes", planes)
        check_number("selectivity", selectivity, above=0)
        check_number("reinforcement", reinforcement, above=0)
        check_word("padding", padding, ("valid", "same"))
        check_word("convention", convention, CONVENTIONS)
        check_word("learning", learning, ("seeds", "gradient"))
        check_number("decay", decay, above=0, most=1)
        check_count("learn_after", learn_after, least=0)
        if learn_for is not None:
            check_count("learn_for", learn_for)
        if learning == "gradient" and (learn_after or learn_for):
            raise ValueError(
                "`learn_after` and `learn_for` are of learning='seeds'. Received: "
                f"learning='gradient', learn_after={learn_after}, "
                f"learn_for={learn_for}. Leave them out; an optimizer decides there"
            )
        self.planes = planes
        self.kernel_size = fields.pair("kernel_size", kernel_size)
        self.selectivity = selectivity
        self.reinforcement = reinforcement
        self.column_size = fields.pair("column_size", column_size)
        self.padding = padding
        self.convention = convention
        self.learning = learning
        self.decay = decay
        self.learn_after = learn_after
        self.learn_for = learn_for
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        if learning == "seeds":
            self.unlearnt = Unlearnt(self.name, self._given_inhibition, self._was_shown)

    def build(self, input_shape):
        fields.check_planes(self, input_shape, "kernel_size", self.kernel_size)
        channels, by_seeds = input_shape[-1], self.learning == "seeds"
        c = fields.falling(self.kernel_size, self.decay)
        c = c[..., None].repeat(channels, axis=-1)
        self._c = (c / c.sum()).astype("float32")
        common = {
            "trainable": not by_seeds,
            "constraint": None if by_seeds else "non_neg",
            "dtype": "float32",
            "autocast": False,
        }
        self.kernel = self.add_weight(
            (*self.kernel_size, channels, self.planes),
            self.kernel_initializer or self._start,
            name="kernel",
            **common,
        )
        # Where gradients teach, it must not rest on the constraint from the start.
        first = 0.0 if by_seeds else 0.25 * self.reinforcement * self._share()
        self.inhibition = self.add_weight(
            (self.planes,),
            keras.initializers.Constant(first),
            name="inhibition",
            **common,
        )
        if by_seeds:
            self.presented = self.add_weight(
                (), "zeros", trainable=False, dtype="int32", name="presented"
            )

    def _start(self, shape, dtype=None):
        strength = _WEAK if self.learning == "seeds" else self.reinforcement
        c = ops.convert_to_tensor(strength * self._c[..., None], dtype)
        return keras.random.uniform(shape, dtype=dtype) * c

    def _share(self):
        """db of the convention, as a share of q v."""
        return 0.5 if self.convention == "1980" else 1.0

    def call(self, inputs, training=False):
        u = fields.activities(inputs)
        if self.learning == "seeds" and self.trainable:
            add_loss(self, 0.0)
            if training:
                self._learn(ops.stop_gradient(u))
        y = self._responses(u, self.kernel, self.inhibition)
        return ops.cast(y, self.compute_dtype)

    def _responses(self, u, a, b):
        a, b = ops.convert_to_tensor(a), ops.convert_to_tensor(b)
        e = ops.conv(u, a, padding=self.padding, data_format="channels_last")
        v = inhibitory(u, ops.convert_to_tensor(self._c), self.padding)
        return respond(e, v, b, self.selectivity, self.convention)

    def _learn(self, u):
        """Present the samples of a batch, of all replicas, one after another."""
        if None in u.shape[1:]:
            raise ValueError(
                f"{self.name} learns from planes of a known height and width. "
                f"Received: {tuple(u.shape)}. Give `keras.Input` the whole shape"
            )
        due = ops.ones((), "bool")
        if self.learn_for is not None:
            due = self.presented < self.learn_after + self.learn_for
        variables = [self.kernel, self.inhibition, self.presented]
        with backend.losses_kept_apart():
            backend.update_if(due, self._present, [u], variables)

    def _present(self, tensors):
        u = backend.of_all_replicas(tensors[0])
        count, before = ops.shape(u)[0], ops.convert_to_tensor(self.presented)
        share = self._share()
        c = ops.convert_to_tensor(self._c)

        def present(i, state):
            a, b = state
            one = ops.take(u, i, axis=0)
            number = before + ops.cast(i, "int32")
            learns = number >= self.learn_after
            if self.learn_for is not None:
                end = self.learn_after + self.learn_for
                learns = ops.logical_and(learns, number < end)
            return seed_cells.reinforced(
                a,
                b,
                one,
                self._responses(one[None], a, b)[0],
                c,
                self.reinforcement * ops.cast(learns, "float32"),
                self.column_size,
                self.padding,
                share,
            )

        start = [ops.convert_to_tensor(v) for v in (self.kernel, self.inhibition)]
        a, b = ops.fori_loop(0, count, present, tuple(start))
        self.kernel.assign(a)
        self.inhibition.assign(b)
        self.presented.assign(before + ops.cast(count, "int32"))

    def _given_inhibition(self):
        return self.inhibition if self.built else None

    def _was_shown(self):
        shown = int(ops.convert_to_numpy(self.presented))
        return self.trainable and shown > self.learn_after

    def compute_output_shape(self, input_shape):
        size = fields.spatial(input_shape, self.kernel_size, 1, self.padding)
        return (input_shape[0], *size, self.planes)

    def get_config(self):
        initializer = self.kernel_initializer
        return {
            **super().get_config(),
            "planes": self.planes,
            "kernel_size": self.kernel_size,
            "selectivity": self.selectivity,
            "reinforcement": self.reinforcement,
            "column_size": self.column_size,
            "padding": self.padding,
            "convention": self.convention,
            "learning": self.learning,
            "decay": self.decay,
            "learn_after": self.learn_after,
            "learn_for": self.learn_for,
            "kernel_initializer": initializer
            and keras.initializers.serialize(initializer),
        }
