"""A ramp: a number that rises, or falls, in a straight line and then stays.

    s(t) = start + (end - start) min(1, t / steps)          t: training steps so far

With `cycles` above 1 it starts over: the `steps` are divided into so many equal parts,
in each of which it rises over the first half and stays over the second, as in cyclical
annealing. Shapes: t () -> s ().
Bowman et al. 2016, "Generating sentences from a continuous space", arXiv:1511.06349;
Fu et al. 2019, "Cyclical annealing schedule", arXiv:1903.10145.
"""

import keras
from keras import ops

from keras_dlparts.support.checks import check_count, check_number

CASES = {"Ramp": ({"arguments": {"steps": 2, "start": 0.05, "end": 0.1}},)}


def ramp(t, steps, start, end, cycles):
    """The value at step t."""
    if cycles > 1:
        each = steps / cycles
        part = ops.minimum(1.0, 2.0 * (t % each) / each)
        part = ops.where(t < steps, part, 1.0)
    else:
        part = ops.minimum(1.0, t / steps)
    return start + (end - start) * part


@keras.saving.register_keras_serializable("dlparts")
class Ramp(keras.optimizers.schedules.LearningRateSchedule):
    """A straight line from `start` to `end` within so many steps, then constant.

    As the `beta` of `layers.GaussianSampling` it is the warm-up of the KL term; it may
    also be a learning rate.

    Args:
        steps: Integer, `>= 1`. When `end` is reached. In a config also `run`,
            `{run: 0.5}` or `{epochs: 10}`.
        start: Float. The value at step 0.
        end: Float. The value from `steps` on.
        cycles: Integer, `>= 1`. How often it rises within the steps.
        name: Optional name.

    Example:

    >>> beta = Ramp(100)
    >>> [float(beta(t)) for t in (0, 50, 100, 200)]
    [0.0, 0.5, 1.0, 1.0]
    """

    def __init__(
        self,
        steps: int,
        start: float = 0.0,
        end: float = 1.0,
        cycles: int = 1,
        name: str | None = None,
    ):
        super().__init__()
        check_count("steps", steps)
        check_number("start", start)
        check_number("end", end)
        check_count("cycles", cycles)
        self.steps = steps
        self.start = start
        self.end = end
        self.cycles = cycles
        self.name = name

    def __call__(self, step):
        t = ops.cast(step, "float32")
        return ramp(t, self.steps, self.start, self.end, self.cycles)

    def get_config(self):
        return {
            "steps": self.steps,
            "start": self.start,
            "end": self.end,
            "cycles": self.cycles,
            "name": self.name,
        }
