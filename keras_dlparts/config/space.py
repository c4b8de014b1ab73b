"""The search space in a config, and how it is settled to plain values.

    {search: float, min: 1e-4, max: 1e-2, scale: log, step: ..., default: 1e-3}
    {search: int,   min: 32, max: 256, scale: linear, step: 32, default: 64}
    {search: choice, values: [relu, tanh], default: relu}
    {search: bool, default: true}
    {search: one_of, of: [{use: Dropout, rate: 0.5}, RandomDropout], default: ...}
    {repeat: {search: int, ...}, of: [layers ...]}      in a list: the layers, n times

A value's name is its path, with the branch or the repetition in it:
`model[1].RandomDropout.rate`, `model[2].repeat[0][1].units`. The number of
repetitions is `model[2].repeat`.
Without a `default` plain training takes the first: min, the first value, false,
the first branch.
"""

import math

from keras_dlparts.config.document import MAX_VALUES, Document
from keras_dlparts.config.errors import (
    ConfigError,
    Problem,
    did_you_mean,
    path_text,
    shown,
)

MAX_REPEAT = 1000
_NUMBER = {"search", "min", "max", "scale", "step", "default"}
KEYS = {
    "float": _NUMBER,
    "int": _NUMBER,
    "choice": {"search", "values", "default"},
    "bool": {"search", "default"},
    "one_of": {"search", "of", "default"},
}


def is_space(value):
    return isinstance(value, dict) and "search" in value


def default_of(name, spec):
    """The plain value of a checked space; for `one_of`, the index of the branch."""
    kind = spec["search"]
    if kind == "one_of":
        labels = branch_labels(spec["of"])
        return labels.index(spec["default"]) if "default" in spec else 0
    first = {"choice": lambda: spec["values"][0], "bool": lambda: False}
    return spec.get("default", first.get(kind, lambda: spec["min"])())


def branch_labels(options):
    """What a `one_of` calls its branches: the parts' names, numbered if repeated."""
    labels = []
    for option in options:
        if isinstance(option, dict):
            option = option.get("use", option.get("search", "mapping"))
        label = "list" if isinstance(option, list) else str(option)
        count = sum(known.partition("#")[0] == label for known in labels)
        labels.append(f"{label}#{count + 1}" if count else label)
    return labels


def settle(document, choose=default_of):
    """A document without spaces: `choose(name, spec)` gives each one's value.

    Problems of the spaces are noted in the new document, with the user's paths.
    """
    settled = Document(None, name=document.name, problems=list(document.problems))
    settled.marks = {path: at for path, at in document.marks.items() if not path}
    walk = _Settle(document, settled, choose)
    settled.values = walk.mapping(document.values, (), (), ())
    return settled


class _Settle:
    """Walks the values with three paths for each.

    `old` is where it stands in the file, `new` where in the result, and `name` is
    what its choice is called: as `old`, with the branches and repetitions in it.
    """

    def __init__(self, source, target, choose):
        self.source = source
        self.target = target
        self.choose = choose
        self.here = ()
        self.count = 0

    def value(self, value, old, new, name):
        self.count += 1
        if self.count > MAX_VALUES:
            at = self.source.place(old)
            message = f"more than {MAX_VALUES} values, once repeated"
            raise ConfigError([Problem(*at, path_text(old), message)])
        for places, moved in (
            (self.source.keys, self.target.keys),
            (self.source.marks, self.target.marks),
        ):
            if old in places:
                moved[new] = places[old]
        if old != new:
            self.target.shown[new] = old
        if is_space(value):
            return self.space(value, old, new, name)
        if isinstance(value, dict):
            return self.mapping(value, old, new, name)
        if isinstance(value, list):
            settled = []
            self.extend(settled, value, old, new, name)
            return settled
        return value

    def mapping(self, items, old, new, name):
        return {
            k: self.value(v, (*old, k), (*new, k), (*name, k)) for k, v in items.items()
        }

    def extend(self, settled, items, old, new, name):
        """Append the settled items of a list, the repeated ones as often as said."""
        for i, item in enumerate(items):
            path, called, at = (*old, i), (*name, i), (*new, len(settled))
            if not (isinstance(item, dict) and "repeat" in item):
                settled.append(self.value(item, path, at, called))
                continue
            called = (*called, "repeat")
            for n in range(self.repeat_count(item, path, at, called)):
                self.extend(settled, item["of"], (*path, "of"), new, (*called, n))

    def repeat_count(self, item, path, new, name):
        self.here = new
        before = len(self.target.problems)
        for key in item.keys() - {"repeat", "of"}:
            hint = did_you_mean(key, ["repeat", "of"])
            self.note(
                (*path, key), f"unknown key {key!r} of a repeat; {hint}", key=True
            )
        if not isinstance(item.get("of"), list):
            self.note(path, "`repeat:` needs `of:`, the list of layers to repeat")
        count = self.value(item["repeat"], (*path, "repeat"), (*new, "repeat"), name)
        if len(self.target.problems) > before:
            return 0
        whole = isinstance(count, int) and not isinstance(count, bool)
        if not whole or not 0 <= count <= MAX_REPEAT:
            message = f"a whole number from 0 to {MAX_REPEAT} is expected"
            self.note((*path, "repeat"), f"{message}. Received: {shown(count)}")
            return 0
        return count

    def space(self, spec, old, new, name):
        before = len(self.target.problems)
        self.here = new
        self.check(spec, old)
        if len(self.target.problems) > before:
            return None
        chosen = self.choose(path_text(name), spec)
        if spec["search"] != "one_of":
            return chosen
        branch = branch_labels(spec["of"])[chosen]
        return self.value(
            spec["of"][chosen], (*old, "of", chosen), new, (*name, branch)
        )

    def note(self, path, message, key=False):
        # Spaces are checked where the user wrote them.
        self.source.problem(path, message, key)
        self.target.problems.append(self.source.problems.pop())
        self.target.bad.add(self.here)

    def check(self, spec, path):
        kind = spec["search"]
        if not isinstance(kind, str) or kind not in KEYS:
            hint = did_you_mean(shown(kind), KEYS)
            message = f"unknown kind of search {shown(kind)}; {hint}"
            self.note((*path, "search"), message)
            return
        for key in spec.keys() - KEYS[kind]:
            hint = did_you_mean(key, KEYS[kind])
            message = f"unknown key {key!r} of `search: {kind}`; {hint}"
            self.note((*path, key), message, key=True)
        if kind in ("float", "int"):
            self.check_range(spec, kind, path)
        elif kind in ("choice", "one_of"):
            self.check_options(spec, "values" if kind == "choice" else "of", path)
        elif not isinstance(spec.get("default", True), bool):
            message = f"true or false is expected. Received: {shown(spec['default'])}"
            self.note((*path, "default"), message)

    def check_options(self, spec, key, path):
        options = spec.get(key)
        if not isinstance(options, list) or not options:
            self.note(path, f"`search: {spec['search']}` needs `{key}:`, a list")
            return
        known = options if key == "values" else branch_labels(options)
        if "default" in spec and spec["default"] not in known:
            message = (
                f"{shown(spec['default'])} is none of: {', '.join(map(str, known))}"
            )
            self.note((*path, "default"), message)

    def check_range(self, spec, kind, path):
        missing = [key for key in ("min", "max") if key not in spec]
        if missing:
            self.note(path, f"`search: {kind}` needs {' and '.join(missing)}")
        for key in ("min", "max", "step", "default"):
            if key in spec and not _is(kind, spec[key]):
                what = "a whole number" if kind == "int" else "a finite number"
                message = f"{what} is expected. Received: {shown(spec[key])}"
                self.note((*path, key), message)
                missing.append(key)
        if missing:
            return
        low, high, scale = spec["min"], spec["max"], spec.get("scale", "linear")
        if low > high:
            self.note(
                (*path, "min"), f"min must not exceed max. Received: {low} > {high}"
            )
        elif not low <= spec.get("default", low) <= high:
            message = f"must lie within [{low}, {high}]. Received: {spec['default']}"
            self.note((*path, "default"), message)
        if scale not in ("linear", "log"):
            self.note((*path, "scale"), "accepted: linear, log")
        elif scale == "log" and low <= 0:
            self.note((*path, "min"), f"scale: log needs min > 0. Received: {low}")
        if spec.get("step", 1) <= 0:
            self.note((*path, "step"), f"must be above 0. Received: {spec['step']}")


def _is(kind, value):
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and (kind == "float" or isinstance(value, int))
