"""Every searched value of a config, those of branches not taken included.

`settle` follows one choice through a document; this follows all of them, so that a
search can name its whole space before its first trial.
"""

from dataclasses import dataclass, replace

from keras_dlparts.config.errors import ConfigError, Problem, path_text, shown
from keras_dlparts.config.grammar import MAX_REPEAT, At, Walk
from keras_dlparts.config.searched import (
    branch_labels,
    default_of,
    is_space,
    steps_of,
)

MAX_SEARCHED = 1000
# Keys whose value must be the same in every trial of a search.
_FIXED = ("dlparts", "name", "search", "backend", "versions")


@dataclass(frozen=True)
class Searched:
    """A searched value: its name, what it may be, and where the user wrote it.

    It counts only while each `(name, values)` of `given` holds: that other searched
    value is one of those (for a `one_of`, the branch's label).
    """

    name: str
    spec: dict
    path: tuple
    given: tuple = ()


def whole_space(document):
    """All searched values of a document, each after those it depends on.

    What is wrong with any of them is noted in the document.
    """
    walk = _All(document)
    for key, value in document.values.items():
        before = len(walk.found)
        walk.value(value, At().below(key))
        if key in _FIXED and len(walk.found) > before:
            message = f"`{key}:` is one for a whole search; give a plain value"
            document.problem(walk.found[before].path, message)
    return walk.found


def assignment(spaces, forced):
    """A `choose` for `settle`: the defaults, with what `forced` names, and what that
    depends on.

    Args:
        spaces: what `whole_space` gave.
        forced: {id of a spec: value}, for a `one_of` the branch's index.
    """
    needed = {}
    for space in spaces:
        if id(space.spec) in forced:
            needed |= {name: values[0] for name, values in space.given}

    def choose(name, spec):
        if id(spec) in forced:
            return forced[id(spec)]
        if name in needed:
            if spec["search"] == "one_of":
                return branch_labels(spec["of"]).index(needed[name])
            return needed[name]
        return default_of(name, spec)

    return choose


class _All(Walk):
    """Follows every choice and notes each searched value on the way."""

    def __init__(self, document):
        self.document = document
        self.found = []

    def note(self, at, below, message, key=False):
        self.document.problem((*at.old, *below), message, key)

    def space(self, spec, at):
        if len(self.found) == MAX_SEARCHED:
            place = self.document.place(at.old)
            message = f"more than {MAX_SEARCHED} searched values, once repeated"
            raise ConfigError([Problem(*place, path_text(at.old), message)])
        name = path_text(at.name)
        self.found.append(Searched(name, spec, at.old, at.given))
        if spec["search"] == "one_of":
            for i, label in enumerate(branch_labels(spec["of"])):
                given = (*at.given, (name, (label,)))
                branch = replace(at.branch(i, label), given=given)
                self.value(spec["of"][i], branch)
        return spec

    def times(self, item, at):
        if not isinstance(item.get("of"), list):
            return []  # `settle` tells it
        counts = item["repeat"]
        if not is_space(counts):
            whole = isinstance(counts, int) and 0 <= counts <= MAX_REPEAT
            return [(n, at.given) for n in range(counts if whole else 0)]
        counted = replace(at, old=(*at.old, "repeat"))
        sound = self.value(counts, counted) is not None
        counts = self._counts(counts, counted) if sound else ()
        return [(n, _given_more(at, counts, n)) for n in range(max(counts, default=0))]

    def _counts(self, spec, at):
        """How often a searched `repeat` may repeat; () with a problem noted."""
        default = default_of("", spec)
        if type(default) is not int or not 0 <= default <= MAX_REPEAT:
            return ()  # `settle` tells it
        if spec["search"] == "int":
            low, high = spec["min"], spec["max"]
            if high > MAX_REPEAT or low < 0:
                message = f"repeats from 0 to {MAX_REPEAT} times. Received: "
                self.note(at, (), message + f"{low} to {high}")
                return ()
            return tuple(steps_of(spec) if "step" in spec else range(low, high + 1))
        values = spec.get("values", ())
        if spec["search"] != "choice" or not all(
            type(v) is int and 0 <= v <= MAX_REPEAT for v in values
        ):
            message = "`repeat:` is searched by `int`, or by `choice` of whole numbers"
            self.note(at, (), f"{message}. Received: {shown(spec)}")
            return ()
        return tuple(values)


def _given_more(at, counts, n):
    """On what repetition `n` depends: a count above it, unless every count is."""
    enough = tuple(count for count in counts if count > n)
    return at.given if enough == counts else (*at.given, (path_text(at.name), enough))
