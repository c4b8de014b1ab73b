"""Averaged: any Keras optimizer, with an average of the weights kept beside them.

    w_n                      the weights after the n-th step from `start` on
    snapshots                w_n for n = every, 2 every, ...: v_0, v_1, ...

    ema     a_0 = v_0,  a_k = momentum a_(k-1) + (1 - momentum) v_k
    sma     a_k = mean of the last `window` of v_0 .. v_k
    tail    a_k = mean of v_0 .. v_k

Shapes: as the variables; sma keeps `window` copies of them, the others one. The mean
age of what is averaged is the same, (n - 1) / 2 snapshots, for a window of n and for
the momentum (n - 1) / (n + 1), which is alpha = 2 / (n + 1).
Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging".
Izmailov et al. 2018, "Averaging weights leads to wider optima and better
generalization", arXiv:1803.05407, is `tail` with a snapshot an epoch.
"""

from typing import Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.optimizers.wrapping import Wrapping, check_wraps, named
from keras_dlparts.support.checks import check_count, check_rate, check_word

CASES = {
    "Averaged": (
        {
            "arguments": lambda folder: {
                "optimizer": keras.optimizers.Adam(0.01),
                "kind": "sma",
                "window": 2,
            }
        },
    )
}
KINDS = ("ema", "sma", "tail")


@keras.saving.register_keras_serializable("dlparts")
class Averaged(Wrapping):
    """Keeps an average of the weights that an optimizer makes.

    It is the optimizer it wraps in all else, and the model trains as with that one
    alone. `callbacks.WeightAverage` puts it in, evaluates the averages beside the
    weights and leaves them in the model; `averages()` gives them as arrays.

    The optimizer given is taken over: used by itself it would keep averages too.

    Args:
        optimizer: The optimizer, which may be a `Clipped` or a `Lookahead`. Under
            `mixed_float16` Keras puts its `LossScaleOptimizer` around this one.
        kind: `"ema"`, `"sma"` or `"tail"`; see above.
        start: Integer, `>= 0`. Steps before the first that counts, from the first on
            that it sees: an optimizer that is given may have stepped before.
        every: Integer, `>= 1`. Steps from one snapshot to the next.
        momentum: Float, `0 <= momentum < 1`, of `ema`.
        window: Integer, `>= 1`, of `sma`.
        name: Optional name.

    Example:

    >>> weights = keras.Variable([1.0])
    >>> optimizer = Averaged(keras.optimizers.SGD(0.1), kind="tail")
    >>> optimizer.build([weights])
    >>> for _ in range(3):  # to 0.9, 0.8 and 0.7
    ...     optimizer.apply([keras.ops.ones(1)])
    >>> optimizer.count, [round(float(a[0]), 6) for a in optimizer.averages()]
    (3, [0.8])
    """

    def __init__(
        self,
        optimizer: str | keras.optimizers.Optimizer,
        kind: Literal["ema", "sma", "tail"] = "ema",
        start: int = 0,
        every: int = 1,
        momentum: float = 0.999,
        window: int = 10,
        name: str | None = None,
    ):
        optimizer = named(optimizer)
        check_wraps("Averaged", optimizer)
        super().__init__(optimizer, name)
        check_word("kind", kind, KINDS)
        self.kind = kind
        self.start = check_count("start", start, least=0)
        self.every = check_count("every", every)
        check_rate("momentum", momentum)
        self.momentum = momentum
        self.window = check_count("window", window)
        backend.around_step(self.innermost, lambda variable: None, self._end)

    def build_own(self, variables):
        inner, names = self.innermost, ["average"]
        if self.kind == "sma":
            names = [f"average_{i}" for i in range(self.window)]
        self.slots = [[self._add_slot(v, name) for name in names] for v in variables]
        self._constraints = [v.constraint for v in variables]
        # Variables, so that a callback that knows how many steps an epoch has can set
        # them without a new compilation.
        self._start = self.add_begin("average_start", self.start)
        every = keras.initializers.Constant(self.every)
        self._every = inner.add_variable((), every, "int32", name="average_every")

    def _add_slot(self, variable, name):
        """A variable for an average, in float32 where the averaged one has less."""
        dtype = backend.wide_dtype(variable.dtype)
        if dtype == variable.dtype:
            return self.innermost.add_variable_from_reference(variable, name)
        name = f"{variable.path.replace('/', '_')}_{name}"
        return self.innermost.add_variable(variable.shape, dtype=dtype, name=name)

    def take_from(self, start: int, every: int):
        """Begin the average anew, with snapshots every so many steps after `start`.

        `start` is in steps of the optimizer, those before it was wrapped included.
        """
        if self.built:
            self._start.assign(start)
            self._every.assign(every)
        else:
            self.start, self.every = start - self._steps_before, every

    def _end(self, variable):
        index = keras_private.variable_index(self.innermost, variable)
        slots = self.slots[index]
        every = ops.convert_to_tensor(self._every)
        n = ops.cast(self.iterations, "int32") + 1 - self._start
        due = ops.logical_and(n > 0, ops.equal(n % every, 0))
        k = n // every - 1
        w, constraint = ops.convert_to_tensor(variable), self._constraints[index]
        if constraint is not None:  # Keras applies it after this
            w = constraint(w)
        for i, slot in enumerate(slots):
            a = ops.convert_to_tensor(slot)
            w = ops.cast(w, a.dtype)
            if self.kind == "sma":
                new = ops.where(ops.equal(k % self.window, i), w, a)
            elif self.kind == "ema":
                new = self.momentum * a + (1 - self.momentum) * w
            else:
                new = a + (w - a) / ops.cast(ops.maximum(k, 0) + 1, a.dtype)
            if self.kind != "sma":
                new = ops.where(ops.equal(k, 0), w, new)
            self.innermost.assign(slot, ops.where(due, new, a))

    @property
    def count(self) -> int:
        """How many snapshots were taken."""
        steps = backend.number(self.iterations) - backend.number(self._start)
        return max(0, int(steps) // int(backend.number(self._every)))

    def averages(self) -> list[np.ndarray]:
        """The averages, in the order of the variables that are trained."""
        if not self.built or not self.count:
            raise ValueError(
                "There is no average before the first snapshot. Received: an optimizer "
                "that has taken none; train for longer, or begin earlier"
            )
        kept = min(self.count, len(self.slots[0])) if self.slots else 1
        return [
            np.mean([ops.convert_to_numpy(slot) for slot in slots[:kept]], axis=0)
            for slots in self.slots
        ]

    def logs(self) -> dict[str, float]:
        """Those of the wrapped optimizer, for the logs of an epoch."""
        return getattr(self.optimizer, "logs", dict)()

    def get_config(self):
        return {
            **super().get_config(),
            "kind": self.kind,
            "start": self.start,
            "every": self.every,
            "momentum": self.momentum,
            "window": self.window,
        }
