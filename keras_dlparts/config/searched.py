"""One searched value: what it may say, what it takes without a search."""

import math

from keras_dlparts.config.errors import did_you_mean, shown

_NUMBER = {"search", "min", "max", "scale", "step", "default"}
KEYS = {
    "float": _NUMBER,
    "int": _NUMBER,
    "choice": {"search", "values", "default"},
    "bool": {"search", "default"},
    "one_of": {"search", "of", "default"},
}
MAX_STEPS = 10_000


def is_space(value):
    return isinstance(value, dict) and "search" in value


def default_of(name, spec):
    """The plain value of a checked space; for `one_of`, the index of the branch."""
    kind = spec["search"]
    if kind == "one_of":
        labels = branch_labels(spec["of"])
        return labels.index(spec["default"]) if "default" in spec else 0
    first = {"choice": lambda: spec["values"][0], "bool": lambda: False}
    value = spec.get("default", first.get(kind, lambda: spec["min"])())
    return float(value) if kind == "float" else value


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


def steps_of(spec):
    """The values that a number with `step` may take, in order.

    Linear: min, min + step, ... up to max. Log: min, min step, min step^2, ...
    """
    low, high, step = spec["min"], spec["max"], spec["step"]
    if spec.get("scale") == "log":
        count = math.floor(math.log(high / low, step) + 1e-9)
        values = [low * step**i for i in range(count + 1)]
    else:
        count = math.floor((high - low) / step + 1e-9)
        values = [low + i * step for i in range(count + 1)]
    if spec["search"] == "int":
        return [round(value) for value in values]
    return [float(f"{value:.12g}") for value in values]  # 0.3, not 0.30000000000000004


def problems_of(spec):
    """What is wrong with a searched value: (path below it, message, whether a key)."""
    kind = spec["search"]
    if not isinstance(kind, str) or kind not in KEYS:
        hint = did_you_mean(shown(kind), KEYS)
        yield ("search",), f"unknown kind of search {shown(kind)}; {hint}", False
        return
    for key in spec.keys() - KEYS[kind]:
        hint = did_you_mean(key, KEYS[kind])
        yield (key,), f"unknown key {key!r} of `search: {kind}`; {hint}", True
    if kind in ("float", "int"):
        yield from _range_problems(spec, kind)
    elif kind in ("choice", "one_of"):
        yield from _option_problems(spec, "values" if kind == "choice" else "of")
    elif not isinstance(spec.get("default", True), bool):
        message = f"true or false is expected. Received: {shown(spec['default'])}"
        yield ("default",), message, False


def _option_problems(spec, key):
    options = spec.get(key)
    if not isinstance(options, list) or not options:
        yield (), f"`search: {spec['search']}` needs `{key}:`, a list", False
        return
    known = options if key == "values" else branch_labels(options)
    for i, value in enumerate(known):
        if value in known[:i]:
            yield (key, i), f"{shown(value)} stands in the list twice", False
    if "default" in spec and spec["default"] not in known:
        message = f"{shown(spec['default'])} is none of: {', '.join(map(str, known))}"
        yield ("default",), message, False


def _range_problems(spec, kind):
    missing = [key for key in ("min", "max") if key not in spec]
    if missing:
        yield (), f"`search: {kind}` needs {' and '.join(missing)}", False
    for key in ("min", "max", "step", "default"):
        if key in spec and not _is(kind, spec[key]):
            what = "a whole number" if kind == "int" else "a finite number"
            message = f"{what} is expected. Received: {shown(spec[key])}"
            yield (key,), message, False
            missing.append(key)
    if missing:
        return
    low, high, scale = spec["min"], spec["max"], spec.get("scale", "linear")
    told = False
    if low > high:
        told = True
        yield ("min",), f"min must not exceed max. Received: {low} > {high}", False
    elif not low <= spec.get("default", low) <= high:
        told = True
        message = f"must lie within [{low}, {high}]. Received: {spec['default']}"
        yield ("default",), message, False
    if scale not in ("linear", "log"):
        told = True
        yield ("scale",), "accepted: linear, log", False
    elif scale == "log" and low <= 0:
        told = True
        yield ("min",), f"scale: log needs min > 0. Received: {low}", False
    if "step" in spec:
        yield from _step_problems(spec, scale, told)


def _step_problems(spec, scale, told):
    step = spec["step"]
    if scale == "log" and step <= 1:
        yield (
            ("step",),
            f"with scale: log a step multiplies; above 1 is expected. Received: {step}",
            False,
        )
    elif step <= 0:
        yield ("step",), f"must be above 0. Received: {step}", False
    elif not told:
        if scale == "linear" and (spec["max"] - spec["min"]) / step > MAX_STEPS:
            message = f"makes more than {MAX_STEPS} values. Received: {step}"
            yield ("step",), message, False
            return
        steps, default = steps_of(spec), spec.get("default", spec["min"])
        if not any(math.isclose(default, s, rel_tol=1e-9) for s in steps):
            near = sorted(sorted(steps, key=lambda s: abs(s - default))[:2])
            message = f"is not on a step; near it: {', '.join(map(str, near))}"
            yield ("default",), f"{message}. Received: {default}", False


def _is(kind, value):
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and (kind == "float" or isinstance(value, int))
