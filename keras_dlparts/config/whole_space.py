"""Every searched value of a config, those of branches not taken included.

`settle` follows one choice through a document; this follows all of them, so that a
search can name its whole space before its first trial.
"""

from dataclasses import dataclass

from keras_dlparts.config.errors import ConfigError, Problem, path_text, shown
from keras_dlparts.config.searched import (
    branch_labels,
    default_of,
    is_space,
    problems_of,
    steps_of,
)
from keras_dlparts.config.space import MAX_REPEAT

MAX_SEARCHED = 1000
# What a whole search has in common.
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
    walk = _Walk(document)
    for key, value in document.values.items():
        before = len(walk.found)
        walk.value(value, (key,), (key,), ())
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


class _Walk:
    """Walks a document's values; `name` is what `settle` would call each."""

    def __init__(self, document):
        self.document = document
        self.found = []

    def value(self, value, path, name, given):
        if is_space(value):
            self.space(value, path, name, given)
        elif isinstance(value, dict):
            for key, item in value.items():
                self.value(item, (*path, key), (*name, key), given)
        elif isinstance(value, list):
            self.items(value, path, name, given)

    def items(self, items, path, name, given):
        for i, item in enumerate(items):
            at, called = (*path, i), (*name, i)
            if isinstance(item, dict) and "repeat" in item:
                self.repeat(item, at, (*called, "repeat"), given)
            else:
                self.value(item, at, called, given)

    def repeat(self, item, path, name, given):
        of = item.get("of")
        if not isinstance(of, list):
            return  # `settle` says so
        counts = item["repeat"]
        if not is_space(counts):
            whole = isinstance(counts, int) and 0 <= counts <= MAX_REPEAT
            for n in range(counts if whole else 0):
                self.items(of, (*path, "of"), (*name, n), given)
            return
        counts = self.counts(counts, (*path, "repeat"), name, given)
        for n in range(max(counts, default=0)):
            enough = tuple(count for count in counts if count > n)
            # What is there however often is no matter of the count.
            more = () if enough == counts else ((path_text(name), enough),)
            self.items(of, (*path, "of"), (*name, n), (*given, *more))

    def counts(self, spec, path, name, given):
        """How often a searched `repeat` may repeat; () with a problem noted."""
        if not self.space(spec, path, name, given):
            return ()
        default = default_of("", spec)
        if type(default) is not int or not 0 <= default <= MAX_REPEAT:
            return ()  # `settle` says so
        if spec["search"] == "int":
            low, high = spec["min"], spec["max"]
            if high > MAX_REPEAT or low < 0:
                message = f"repeats from 0 to {MAX_REPEAT} times. Received: "
                self.document.problem(path, message + f"{low} to {high}")
                return ()
            return tuple(steps_of(spec) if "step" in spec else range(low, high + 1))
        values = spec.get("values", ())
        if spec["search"] != "choice" or not all(
            type(v) is int and 0 <= v <= MAX_REPEAT for v in values
        ):
            message = "`repeat:` is searched by `int`, or by `choice` of whole numbers"
            self.document.problem(path, f"{message}. Received: {shown(spec)}")
            return ()
        return tuple(values)

    def space(self, spec, path, name, given):
        """Note a searched value and what its branches hold; whether it is sound."""
        wrong = [*problems_of(spec)]
        for below, message, key in wrong:
            self.document.problem((*path, *below), message, key)
        if wrong:
            return False
        if len(self.found) == MAX_SEARCHED:
            at = self.document.place(path)
            message = f"more than {MAX_SEARCHED} searched values, once repeated"
            raise ConfigError([Problem(*at, path_text(path), message)])
        self.found.append(Searched(path_text(name), spec, path, given))
        if spec["search"] == "one_of":
            labels = branch_labels(spec["of"])
            for i, label in enumerate(labels):
                at = (*path, "of", i)
                more = (*given, (path_text(name), (label,)))
                self.value(spec["of"][i], at, (*name, label), more)
        return True
