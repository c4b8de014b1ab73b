"""From `{use: Name, argument: value}` to a checked call of a registered part."""

import difflib
import importlib.metadata
import re
from dataclasses import dataclass, field

from keras_dlparts import registry, static
from keras_dlparts.config.errors import did_you_mean, shown
from keras_dlparts.config.signature import REQUIRED, arguments, own_arguments

# Strings that Keras itself reads by the loss they stand beside.
METRIC_WORDS = ("accuracy", "acc", "crossentropy", "ce")
_LAYERS = {"layer", "layers", "body", "cell", "cells", "forward_layer"} | {
    "backward_layer"
}
_KINDS = {
    "learning_rate": "schedules",
    "optimizer": "optimizers",
    "inner_optimizer": "optimizers",
    "loss": "losses",
    "by": "clipping",
} | dict.fromkeys(_LAYERS, "layers")
_SUFFIXES = ("initializer", "regularizer", "constraint")


@dataclass
class Call:
    """A part and the arguments it will be called with (values, or calls again)."""

    part: registry.Part
    target: object
    path: tuple
    arguments: dict = field(default_factory=dict)
    sources: object = None  # a layer's `from:`

    def written(self):
        """The call as a config says it, every default written out."""
        given = {k: written(v) for k, v in self.arguments.items()}
        defaults = {
            name: _plain(value)
            for name, value in own_arguments(self.target).items()
            if name not in given and value is not REQUIRED and _is_plain(value)
        }
        tail = {"from": self.sources} if self.sources is not None else {}
        return {"use": self.part.name} | given | defaults | tail


def written(value):
    if isinstance(value, Call):
        return value.written()
    if isinstance(value, list):
        return [written(item) for item in value]
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    return value


def _is_plain(value):
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _plain(value):
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def kind_of(argument):
    """The kind of part an argument takes by its name, or None."""
    for suffix in _SUFFIXES:
        if argument.endswith(suffix):
            return suffix + "s"
    return _KINDS.get(argument)


def check_part(document, value, kind, path, layer=False):
    """The Call that a value stands for, or None with the problems noted.

    `layer` allows `name:` and `from:`, as the layers of a model have.
    """
    bare = isinstance(value, str)
    if not bare and not (isinstance(value, dict) and "use" in value):
        if path not in document.bad:  # a search that was refused has no value
            document.problem(path, _not_a_part(kind, value))
        return None
    at = path if bare else (*path, "use")
    try:
        part = registry.find(kind, value if bare else value["use"])
        target = part.load()
    except registry.RegistryError as error:
        document.problem(at, _explain(error, kind))
        return None
    call = Call(part, target, path)
    given = {} if bare else {k: v for k, v in value.items() if k != "use"}
    if layer and "from" in given:
        call.sources = given.pop("from") or []
    known = arguments(target)
    for name, item in given.items():
        if name in known:
            default = known[name]
            call.arguments[name] = _argument(
                document, name, item, default, (*path, name)
            )
        else:
            hint = did_you_mean(name, own_arguments(target))
            message = f"unknown argument of {part.name}; {hint}"
            document.problem((*path, name), message, key=True)
    missing = [n for n, d in known.items() if d is REQUIRED and n not in given]
    if missing:
        needed = " and ".join(f"`{name}:`" for name in missing)
        document.problem(at, f"{part.name} needs {needed}")
    return call


def _not_a_part(kind, value):
    what = registry.singular(kind)
    message = f"{'an' if what[0] in 'aeiou' else 'a'} {what} is expected: its name, "
    message += "or {use: name, argument: value, ...}"
    if kind == "models":
        message = "a list of layers, or the name of a model, is expected"
    if isinstance(value, dict):
        message += "; `use:` is missing"
        nested = [name for name, inner in value.items() if isinstance(inner, dict)]
        if len(value) == 1 and nested:  # Dense: {units: 3}
            message += f". Is it {{use: {nested[0]}, ...}}?"
    elif value is None:
        message += "; nothing is given"
    else:
        message += f". Received: {shown(value)}"
    return message


def _explain(error, kind):
    word = re.search("'(.*?)'", str(error))
    if (
        kind == "metrics"
        and word
        and (close := difflib.get_close_matches(word[1], METRIC_WORDS, 1))
    ):
        return f"{error}\ndid you mean {close[0]!r}?   (all: dlparts list {kind})"
    if kind == "models" and "one of the layers" in str(error):
        return f"{error}; layers stand in a list, as in `model: [Flatten, ...]`"
    if error.matches and "ambiguous" not in str(error):
        several = " or ".join(map(repr, error.matches[:2]))
        return f"{error}\ndid you mean {several}?   (all: dlparts list {kind})"
    return f"{error}   (all: dlparts list {kind})" if not error.matches else str(error)


def _argument(document, name, value, default, path):
    """An argument's value, with the parts inside it made calls."""
    kind = kind_of(name)
    if isinstance(value, dict) and "use" in value:
        return check_part(document, value, kind or _any_kind(value["use"]), path)
    if kind in ("layers", "clipping") and isinstance(value, str):
        return check_part(document, value, kind, path)
    if kind and isinstance(value, str) and "." in value:  # acme.Name
        return check_part(document, value, kind, path)
    if isinstance(value, list):
        return [
            _argument(document, name, item, REQUIRED, (*path, i))
            for i, item in enumerate(value)
        ]
    _check_type(document, value, default, path)
    return value


def _any_kind(name):
    """The kind that has this name; layers where none has, for the message."""
    for kind in registry.KINDS:
        try:
            registry.find(kind, name)
        except registry.RegistryError:
            continue
        return kind
    return "layers"


def _check_type(document, value, default, path):
    """Refuse text where the default is a number or a truth value."""
    message = ""
    if isinstance(default, bool) and not isinstance(value, bool | None):
        message = "true or false is expected"
    elif type(default) in (int, float) and isinstance(value, str | bool):
        message = "a number is expected"
    if message and isinstance(value, str):
        message += text_hint(value, message)
    if message:
        document.problem(path, f"{message}. Received: {shown(value)}")


def choices(argument):
    """The words that Keras reads as values of an argument, where it has such."""
    kind = kind_of(argument)
    if argument.endswith("activation"):
        found = static.imported_names("keras.activations")
        return [name for name in found if name not in ("get", "serialize")]
    names = registry.names(kind) if kind and argument.endswith(_SUFFIXES) else ()
    short = [name.partition(".")[2] for name in names if name.startswith("keras.")]
    return [re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() for name in short]


def text_hint(text, message):
    """Why a file's text is no number or truth value, where it looks like one."""
    if "true" in message and text.lower() in ("yes", "no", "on", "off"):
        return " (YAML 1.2 reads yes, no, on, off as text)"
    if ("number" in message or "integer" in message) and is_number(text):
        return "; write it without quotes"
    return ""


def is_number(text):
    """Whether a text reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def distributions(calls):
    """{distribution: version} of every part in a tree of calls."""
    found = {}
    for call in calls:
        name = call.part.distribution.rpartition(" ")[0]
        found[name] = importlib.metadata.version(name)
        found |= distributions(_inner_calls(call.arguments))
    return found


def _inner_calls(value):
    if isinstance(value, Call):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    if isinstance(items, str | int | float | None):
        return []
    return [call for item in items for call in _inner_calls(item)]
