"""The search space in a config, and how it is settled to plain values.

    {search: float, min: 1e-4, max: 1e-2, scale: log, step: ..., default: 1e-3}
    {search: int,   min: 32, max: 256, scale: linear, step: 32, default: 64}
    {search: choice, values: [relu, tanh], default: relu}
    {search: bool, default: true}
    {search: one_of, of: [{use: Dropout, rate: 0.5}, RandomDropout], default: ...}
    {repeat: {search: int, ...}, of: [layers ...]}      in a list: the layers, n times

A value's name is its path, with the branch in it: `model[1].RandomDropout.rate`.
Without a `default` plain training takes the first: min, the first value, false,
the first branch.
"""

import math

from keras_dlparts.config.document import Document
from keras_dlparts.config.errors import did_you_mean, path_text

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
        label = option.get("use") if isinstance(option, dict) else option
        label = "list" if isinstance(label, list) else str(label)
        count = sum(known.partition("#")[0] == label for known in labels)
        labels.append(f"{label}#{count + 1}" if count else label)
    return labels


def settle(document, choose=default_of):
    """A document without spaces: `choose(name, spec)` gives each one's value.

    Problems of the spaces are noted in the new document, with the user's paths.
    """
    settled = Document(None, name=document.name, problems=list(document.problems))
    settled.values = _Settle(document, settled, choose).value(document.values, (), ())
    return settled


class _Settle:
    def __init__(self, source, target, choose):
        self.source = source
        self.target = target
        self.choose = choose
        self.here = ()

    def value(self, value, old, new):
        """The settled value; `old` is its path in the file, `new` in the result."""
        for places, moved in (
            (self.source.keys, self.target.keys),
            (self.source.marks, self.target.marks),
        ):
            if old in places:
                moved[new] = places[old]
        if old != new:
            self.target.shown[new] = old
        if is_space(value):
            return self.space(value, old, new)
        if isinstance(value, dict):
            return {k: self.value(v, (*old, k), (*new, k)) for k, v in value.items()}
        if isinstance(value, list):
            return self.list(value, old, new)
        return value

    def list(self, items, old, new):
        settled = []
        for i, item in enumerate(items):
            if not (isinstance(item, dict) and "repeat" in item):
                settled.append(self.value(item, (*old, i), (*new, len(settled))))
                continue
            path = (*old, i)
            count = self.repeat_count(item, path, (*new, len(settled)))
            body = item.get("of")
            for _ in range(count if isinstance(body, list) else 0):
                for j, part in enumerate(body):
                    at = (*path, "of", j)
                    settled.append(self.value(part, at, (*new, len(settled))))
        return settled

    def repeat_count(self, item, path, new):
        self.here = new
        for key in item.keys() - {"repeat", "of"}:
            self.note((*path, key), did_you_mean(key, ["repeat", "of"]), key=True)
        if not isinstance(item.get("of"), list):
            self.note(path, "`repeat` needs `of:`, the list of layers to repeat")
        count = self.value(item["repeat"], (*path, "repeat"), (*new, "repeat"))
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            message = f"a whole number, 0 or more, is expected. Received: {count!r}"
            self.note((*path, "repeat"), message)
            return 0
        return count

    def space(self, spec, old, new):
        before = len(self.target.problems)
        self.here = new
        self.check(spec, old)
        if len(self.target.problems) > before:
            return None
        chosen = self.choose(path_text(new), spec)
        if spec["search"] != "one_of":
            return chosen
        return self.value(spec["of"][chosen], (*old, "of", chosen), new)

    def note(self, path, message, key=False):
        # Spaces are checked where the user wrote them.
        self.source.problem(path, message, key)
        self.target.problems.append(self.source.problems.pop())
        self.target.bad.add(self.here)

    def check(self, spec, path):
        kind = spec["search"]
        if kind not in KEYS:
            self.note(
                (*path, "search"), f"unknown {kind!r}; {did_you_mean(kind, KEYS)}"
            )
            return
        for key in spec.keys() - KEYS[kind]:
            hint = did_you_mean(key, KEYS[kind])
            self.note((*path, key), f"not for `search: {kind}`; {hint}", key=True)
        if kind in ("float", "int"):
            self.check_range(spec, kind, path)
        elif kind in ("choice", "one_of"):
            self.check_options(spec, "values" if kind == "choice" else "of", path)
        elif not isinstance(spec.get("default", True), bool):
            self.note((*path, "default"), "true or false is expected")

    def check_options(self, spec, key, path):
        options = spec.get(key)
        if not isinstance(options, list) or not options:
            self.note(path, f"`search: {spec['search']}` needs `{key}:`, a list")
            return
        known = options if key == "values" else branch_labels(options)
        if "default" in spec and spec["default"] not in known:
            message = f"{spec['default']!r} is none of: {', '.join(map(str, known))}"
            self.note((*path, "default"), message)

    def check_range(self, spec, kind, path):
        missing = [key for key in ("min", "max") if key not in spec]
        if missing:
            self.note(path, f"`search: {kind}` needs {' and '.join(missing)}")
        for key in ("min", "max", "step", "default"):
            if key in spec and not _is(kind, spec[key]):
                what = "a whole number" if kind == "int" else "a finite number"
                message = f"{what} is expected. Received: {spec[key]!r}"
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
