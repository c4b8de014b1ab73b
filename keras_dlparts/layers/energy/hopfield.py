"""A Hopfield network: an associative memory of patterns of -1 and 1.

    E(x) = -1/2 sum_ij w_ij x_i x_j         w_ij = w_ji, w_ii = 0
    y    = x after x_i <- sign(sum_j w_ij x_j), until nothing changes

Shapes: x (batch, n) -> y (batch, n). Training and inference are the same: patterns are
stored by a rule and not by a gradient. The rules are in `associative.py`.
Hopfield 1982, "Neural networks and physical systems with emergent collective
computational abilities".
"""

import warnings
from typing import Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import feeding
from keras_dlparts.layers.energy import associative, rows
from keras_dlparts.support.checks import check_count, check_word

CASES = {
    "Hopfield": (
        {
            "arguments": {},
            "input_shape": (4, 6),
            "not_exported": {
                "tensorflow onnx": "tf2onnx has no update of a slice whose place is "
                "known at run time only"
            },
        },
        {
            "arguments": {"order": "synchronous", "steps": 3},
            "input_shape": (4, 6),
        },
    )
}
_NOT_SIGNS = (
    "A Hopfield network stores patterns of -1 and 1 only. Of bits b store 2 * b - 1, "
    "of images in [0, 1] store where(image > 0.5, 1, -1)"
)
_BATCH = 1024  # of the patterns that `adapt` goes through


@keras.saving.register_keras_serializable("dlparts")
class Hopfield(keras.layers.Layer):
    """Associative memory: completes what it is shown to a pattern that it has stored.

    `store(patterns)` adds patterns to those that are stored, `adapt(patterns)` stores
    them instead of those. A rule does it, not a gradient, so that `fit` moves nothing
    here; a run of a config lets the layer adapt before it fits. In a net the layer
    passes gradients on as if it were the identity.

    How many random patterns are recalled: with `"hebb"` n / (4 log n) without an error
    and .138 n nearly so; with `"storkey"` n / sqrt(2 log n); with `"pseudo_inverse"`
    any that are linearly independent, fewer than n, though around each of them less
    and less is drawn to it. Patterns that are much alike, such as images, need
    `"pseudo_inverse"`.

    Args:
        rule: `"hebb"`, `"storkey"` or `"pseudo_inverse"`. How patterns are stored.
        steps: Integer, `>= 1`. The most updates of all units in a recall, which ends
            before if nothing changes any more.
        order: `"asynchronous"`, one unit after the other, so that the energy never
            rises; or `"synchronous"`, all at once, which may end in a cycle of two
            states.

    Call arguments:
        inputs: Tensor of shape `(batch, n)`. Where it is not -1 or 1 its sign counts,
            that of 0 as 1.

    Output shape: that of the input.

    Example:

    >>> import numpy as np
    >>> memory = Hopfield()
    >>> patterns = np.array([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1] * 4])
    >>> memory.store(patterns)
    >>> damaged = patterns * [[-1, 1, 1, 1, 1, 1, 1, 1]]
    >>> bool(np.all(np.asarray(memory(damaged)) == patterns))
    True

    Reference: Hopfield 1982, "Neural networks and physical systems"
    """

    def __init__(
        self,
        rule: Literal["hebb", "storkey", "pseudo_inverse"] = "hebb",
        steps: int = 20,
        order: Literal["asynchronous", "synchronous"] = "asynchronous",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_word("rule", rule, tuple(associative.RULES))
        check_count("steps", steps)
        check_word("order", order, associative.ORDERS)
        self.rule = rule
        self.steps = steps
        self.order = order

    def build(self, input_shape):
        n = rows.width(self, input_shape)
        self.kernel = self.add_weight(
            (n, n),
            "zeros",
            trainable=False,
            dtype="float32",
            autocast=False,
            name="kernel",
        )

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        start = _signs(ops.stop_gradient(x))
        free = ops.ones_like(start, "bool")
        y = associative.settle(
            start, self._weights(), free, self.steps, order=self.order
        )
        y += x - ops.stop_gradient(x)  # 0, with the gradient of the identity
        return ops.cast(y, self.compute_dtype)

    def store(self, patterns):
        """Store each row of `patterns`, an array `(patterns, n)` of -1 and 1.

        Warns if some of them are not recalled even from themselves: then there are too
        many, or they are too much alike, for the rule.
        """
        self._store(self._rows("patterns", patterns))

    def adapt(self, data):
        """Store the rows of `data` instead of all that was stored before.

        Args:
            data: What `fit` takes: an array `(patterns, n)` of -1 and 1, or batches.
        """
        batches = [self._rows("data", x) for x in feeding.inputs(data, _BATCH)]
        self.kernel.assign(ops.zeros(self.kernel.shape))
        self._store(ops.concatenate(batches))

    def _store(self, x):
        store = associative.compiled_rules[self.rule]
        self.kernel.assign(store(ops.convert_to_tensor(self.kernel), x))
        lost = int(np.sum(~ops.convert_to_numpy(self.stable(x))))
        if lost:
            warnings.warn(
                f"{lost} of the {len(x)} patterns are not kept: they change when they "
                f"are recalled. Received: rule={self.rule!r}, n={x.shape[1]}. Store "
                "fewer, or such that are less alike, or take "
                "rule='pseudo_inverse', which keeps any that are linearly independent",
                stacklevel=3,
            )

    def recall(
        self,
        x,
        steps: int | None = None,
        order: Literal["asynchronous", "synchronous"] | None = None,
        clamp=None,
    ):
        """What each row of x becomes, in one compiled loop; shape `(batch, n)`.

        Args:
            x: Array `(batch, n)`; its signs count.
            steps: Integer, `>= 1`, the most updates of all units; None for the layer's.
            order: `"asynchronous"` or `"synchronous"`; None for the layer's.
            clamp: Array `(batch, n)` or `(n,)`: -1 and 1 for units that keep that
                value, and NaN for those that are to be completed.
        """
        steps = self.steps if steps is None else check_count("steps", steps)
        order = self.order if order is None else order
        check_word("order", order, associative.ORDERS)
        x = self._rows("x", x, signs=False)
        free = np.ones(x.shape, bool)
        if clamp is not None:
            held = np.broadcast_to(ops.convert_to_numpy(clamp), x.shape)
            free = np.isnan(held)
            held = ops.convert_to_tensor(np.where(free, 1, held).astype("float32"))
            backend.require(_all_signs(held), _NOT_SIGNS, held)
            x = ops.where(free, x, held)
        return associative.compiled_settle(
            *(x, self._weights(), ops.convert_to_tensor(free)),
            ops.convert_to_tensor(steps, "int32"),
            order=order,
        )

    def energy(self, x):
        """E of each row of x, an array `(batch, n)` of -1 and 1; shape `(batch,)`."""
        return associative.energy(self._rows("x", x), self._weights())

    def stable(self, x):
        """Whether no unit of a row would change; booleans of shape `(batch,)`."""
        x = ops.transpose(self._rows("x", x))
        free = ops.ones_like(x, "bool")
        return ops.all(associative.synchronous(x, self._weights(), free) == x, axis=0)

    def _weights(self):
        W = ops.convert_to_tensor(self.kernel)
        return associative.without_diagonal(W) if self.rule == "pseudo_inverse" else W

    def _rows(self, name, x, signs=True):
        """Rows of -1 and 1 as a tensor, for use outside `call`."""
        shape = tuple(np.shape(x))
        if not self.built and len(shape) == 2:
            self.build(shape)
        if len(shape) != 2 or shape[1] != self.kernel.shape[0]:
            n = self.kernel.shape[0] if self.built else "n"
            raise ValueError(
                f"`{name}` must have the shape (rows, {n}). Received: {shape}"
            )
        x = ops.convert_to_tensor(np.asarray(ops.convert_to_numpy(x), "float32"))
        if signs:
            backend.require(_all_signs(x), _NOT_SIGNS, x)
            return x
        return _signs(x)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "rule": self.rule,
            "steps": self.steps,
            "order": self.order,
        }


def _signs(x):
    return ops.cast(ops.where(x < 0, -1.0, 1.0), "float32")


def _all_signs(x):
    return ops.all(ops.abs(x) == 1)
