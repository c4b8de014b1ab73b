"""What the rules of `Clipped` have in common.

    n  = || (g_1, ..., g_k) ||          one norm over all gradients
    t  = the rule's threshold
    g_i <- g_i t / n    if n > t

Shapes: gradients as the variables; n and t are numbers.

Everything a rule remembers is a variable of the optimizer: saved, restored, left as
it was in a step that loss scaling skips, and the same on every replica, since the
gradients are. A norm that is not finite moves none of them.
"""

import math
from typing import Any

from keras import ops

from keras_dlparts import backend


def global_norm(gradients):
    """The Euclidean norm over a list of tensors, in float32."""
    squares = [ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients]
    return ops.sqrt(sum(squares))


def clip_by(gradients, norm, limit):
    """The gradients, shortened together if their norm is above the limit."""
    factor = ops.where(norm > limit, limit / norm, 1.0)
    return [g * ops.cast(factor, g.dtype) for g in gradients]


class ClippingRule:
    """Base of the rules. A rule of your own gives `limit`, and `state` if it has one.

    `limit(norm, state, learning_rate)` returns the threshold of this step and the
    new state, a dict like the one it got. Both are tensors, computed with
    `keras.ops` in the compiled step, so shapes must not depend on values.

    Example: clip at twice the mean of all norms before.

    >>> import keras
    >>> from keras_dlparts.optimizers import Clipped
    >>> class TwiceTheMean(ClippingRule):
    ...     def state(self, shapes):
    ...         return {"count": 0.0, "total": 0.0}
    ...
    ...     def limit(self, norm, state, learning_rate):
    ...         count, total = state["count"], state["total"]
    ...         mean = total / ops.maximum(count, 1.0)
    ...         limit = ops.where(count > 0, 2.0 * mean, norm)
    ...         return limit, {"count": count + 1.0, "total": total + norm}
    >>> optimizer = Clipped(keras.optimizers.SGD(0.1), by=TwiceTheMean())
    """

    built = False
    # What the variable `threshold` starts from. An attribute, since `build` may run
    # inside a trace, where a variable cannot be assigned to afterwards.
    first_threshold = float("inf")

    def state(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
        """What the rule remembers: the first values by name, numbers or arrays.

        `shapes` are those of the trainable variables, by their paths.
        """
        return {}

    def limit(
        self, norm: Any, state: dict[str, Any], learning_rate: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The threshold for a norm, and the state after this step."""
        raise NotImplementedError

    def rate(self, learning_rate: Any) -> Any:
        """The learning rate of the step; the optimizer's own, if not overridden."""
        return learning_rate

    def build(self, optimizer, variables):
        """Make the variables. Called once, by `Clipped`."""
        self._optimizer = optimizer

        def variable(name, value):
            value = ops.convert_to_numpy(value).astype("float32")
            return optimizer.add_variable(
                value.shape, lambda shape, dtype=None: value, "float32", name=name
            )

        shapes = {v.path: tuple(v.shape) for v in variables}
        self.threshold = variable("threshold", self.first_threshold)
        self.gradient_norm = variable("gradient_norm", 0.0)
        self.steps = variable("steps", 0.0)
        self.clipped = variable("clipped", 0.0)
        first = self.state(shapes)
        self.variables = {name: variable(name, value) for name, value in first.items()}
        self.built = True

    def clip(self, gradients, variables):
        """The gradients to step by; the rule's variables move on."""
        norm = global_norm(gradients)
        state = {name: ops.convert_to_tensor(v) for name, v in self.variables.items()}
        rate = ops.cast(self._optimizer.learning_rate, "float32")
        limit, state = self.limit(norm, state, self.rate(rate))
        self.move(norm, limit, ops.cast(norm > limit, "float32"), state)
        return clip_by(gradients, norm, limit)

    def move(self, norm, limit, clipped, state):
        """Note a step, unless its norm is not finite."""
        fine = ops.isfinite(norm)
        moves = [
            (self.threshold, limit),
            (self.gradient_norm, norm),
            (self.steps, self.steps + 1.0),
            (self.clipped, self.clipped + clipped),
            *((self.variables[name], value) for name, value in state.items()),
        ]
        for variable, value in moves:
            variable.assign(ops.where(fine, value, ops.convert_to_tensor(variable)))

    def logs(self) -> dict[str, float]:
        """Figures since the last call, for the logs of an epoch."""
        steps, clipped = backend.number(self.steps), backend.number(self.clipped)
        self.steps.assign(0.0)
        self.clipped.assign(0.0)
        logs = {
            "gradient_norm": backend.number(self.gradient_norm),
            "clip_threshold": backend.number(self.threshold),
            "clipped_fraction": clipped / steps if steps else 0.0,
        }
        if math.isinf(logs["clip_threshold"]):  # there is none yet
            del logs["clip_threshold"]
        return logs

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
