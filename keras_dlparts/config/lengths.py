"""Lengths of schedules in epochs or in shares of the run, in place of counted steps.

    decay_steps: run             as many steps as the run has
    decay_steps: {run: 0.5}      half of them
    warmup_steps: {epochs: 2}    as many as two epochs have

Which arguments: of a schedule those whose names end in `steps`, and `boundaries`, a
list of them. How many steps an epoch has is known when the data was read; a resolved
config has the numbers.
"""

from dataclasses import dataclass, replace

from keras_dlparts.config.errors import shown
from keras_dlparts.config.types import ANY, Type

_STAND_IN = 1000  # steps, where a schedule is only tried, before the data is read
_WORDS = ("run", "epochs")
_TAKEN = Type(
    scalars=frozenset({"int", "float"}),
    literals=("run",),
    values=Type(scalars=frozenset({"int", "float"})),
)


@dataclass
class Length:
    """A length that a config gives by a word; `steps` once it is settled."""

    given: object
    path: tuple
    steps: int | None = None

    def written(self):
        """As a resolved config has it."""
        return self.given if self.steps is None else self.steps

    def number(self):
        """Steps, or a stand-in for them."""
        return _STAND_IN if self.steps is None else self.steps

    def settle(self, steps, epochs):
        """Find the number, for so many steps an epoch, and epochs a run."""
        given = {"run": 1} if self.given == "run" else self.given
        (word, count), *_ = given.items()
        of = steps * epochs if word == "run" else steps
        self.steps = max(1, round(count * of))


def counts_steps(kind, name):
    """Whether an argument of a part of this kind counts training steps."""
    return kind == "schedules" and (name.endswith("steps") or name == "boundaries")


def or_length(taken, kind, name):
    """The `Type` of an argument, with the words of a length where it counts steps."""
    if not counts_steps(kind, name):
        return taken
    if name == "boundaries":
        return replace(ANY, anything=False, items=_TAKEN)
    if taken.anything:  # Keras has no annotations: what is required counts steps
        return _TAKEN
    return taken | _TAKEN


def read_lengths(document, value, path):
    """The value of such an argument, with a `Length` for what is one."""
    if isinstance(value, list):
        return [read_lengths(document, v, (*path, i)) for i, v in enumerate(value)]
    if value != "run" and not isinstance(value, dict):
        return value
    if isinstance(value, dict):
        fault = _fault(value)
        if fault:
            document.problem(path, f"{fault}. Received: {shown(value)}")
            return None
    return Length(value, path)


def _fault(value):
    if len(value) != 1 or next(iter(value)) not in _WORDS:
        return "a length is a number of steps, run, {run: share} or {epochs: number}"
    ((word, count),) = value.items()
    if isinstance(count, bool) or not isinstance(count, int | float) or not count > 0:
        return f"a number above 0 is expected as {word}"
    if word == "run" and count > 1:
        return "a share of the run, at most 1, is expected"
    return None


def settle(experiment, steps):
    """Find the steps of all lengths in an experiment's calls.

    Args:
        experiment: A checked config.
        steps: Gives how many training steps an epoch has. None without data, which is
            an error where there is a length.
    """
    document, epochs = experiment.document, experiment.settings.fit.epochs
    for length in _lengths(experiment.calls()):
        if steps is None:
            message = "only with `data:` it is known how many steps that is"
            document.problem(length.path, message)
        else:
            length.settle(steps(), epochs)
    document.raise_problems()


def _lengths(value):
    if isinstance(value, Length):
        return [value]
    value = getattr(value, "arguments", value)  # of a call
    if isinstance(value, dict):
        value = [*value.values()]
    if not isinstance(value, list | tuple):
        return []
    return [length for item in value for length in _lengths(item)]
