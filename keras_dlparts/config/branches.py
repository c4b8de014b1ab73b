"""Check all that a search space can become, so that no trial fails by a bad value.

Each branch of each `one_of` is assembled once, and every part is made with the least,
the most and each listed value that its arguments may take.
"""

import os
from collections.abc import Sequence

from keras_dlparts.config.assemble import assemble
from keras_dlparts.config.calls import written
from keras_dlparts.config.construct import construct
from keras_dlparts.config.errors import ConfigError
from keras_dlparts.config.experiment import opened, settled
from keras_dlparts.config.searched import default_of
from keras_dlparts.config.watching import try_callbacks
from keras_dlparts.config.whole_space import assignment, whole_space


def check_config(config: str | os.PathLike | dict, sets: Sequence[str] = ()):
    """Check a config and all that its search space holds.

    Returns: the model of the defaults, assembled, and the list of searched values.

    Raises ConfigError with the problems of all branches at once.
    """
    document, given = opened(config, sets)
    return check_opened(document, given)


def check_opened(document, given):
    """As `check_config`, for a config that was opened."""
    spaces = whole_space(document)
    if document.problems:
        settled(document, given)  # raises with these problems and others
    made, seen, problems = _Made(), set(), []

    def attempt(use, choose):
        def watched(name, spec):
            value = choose(name, spec)
            if spec["search"] == "one_of" and use is made.whole:
                seen.add((id(spec), value))
            return value

        try:
            return use(settled(document, given, watched))
        except ConfigError as error:
            problems.extend(error.problems)
        return None

    default = attempt(made.whole, default_of)
    for space in spaces:
        for branch in range(len(space.spec.get("of", ()))):
            if (id(space.spec), branch) not in seen:
                choose = assignment(spaces, {id(space.spec): branch})
                attempt(made.whole, choose)
    for n in range(_most_values(spaces)):
        attempt(made.parts, lambda name, spec, n=n: _nth(name, spec, n))
    if problems:
        raise ConfigError(problems)
    return default, spaces


class _Made:
    """Assembles experiments; those with the same data share it."""

    def __init__(self):
        self.name, self.data = None, None

    def whole(self, experiment):
        name = repr(written(experiment.data))
        made = assemble(experiment, self.data if name == self.name else None)
        self.name, self.data = name, made.data
        try_callbacks(experiment, made)
        return made

    def parts(self, experiment):
        for call in experiment.calls():
            construct(experiment.document, call)
        experiment.document.raise_problems()


def _values(spec):
    if spec["search"] == "int":
        return [spec["min"], spec["max"]]
    if spec["search"] == "float":  # as trials get them, also where `4` is written
        return [float(spec["min"]), float(spec["max"])]
    if spec["search"] == "bool":
        return [False, True]
    return spec["values"] if spec["search"] == "choice" else []


def _most_values(spaces):
    return max((len(_values(space.spec)) for space in spaces), default=0)


def _nth(name, spec, n):
    values = _values(spec)
    # The arguments of repeated layers are the same however often they are repeated.
    if not values or name.endswith(".repeat"):
        return default_of(name, spec)
    return values[n % len(values)]
