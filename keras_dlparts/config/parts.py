"""From `{use: Name, argument: value}` to a checked call of a registered part."""

import difflib
import re
from pathlib import Path

from keras_dlparts import registry, static
from keras_dlparts.config import lengths, objects, types
from keras_dlparts.config.calls import Call, Noted, Ready, plain
from keras_dlparts.config.errors import did_you_mean, shown
from keras_dlparts.config.paths import whole_path
from keras_dlparts.config.signature import (
    REQUIRED,
    arguments,
    own_arguments,
    types_of,
)

# Texts that Keras turns into a metric of its own choice, which depends on the loss.
METRIC_WORDS = ("accuracy", "acc", "crossentropy", "ce")


def check_part(document, value, kind, path, layer=False):
    """The Call that a value stands for, or None with the problems noted.

    `layer` allows `name:` and `from:`, as the layers of a model have. An object of
    Python stands for a part of its kind.
    """
    if isinstance(value, objects.PythonObject):
        return _ready(document, value.value, kind, path)
    if objects.is_note(value):
        folder = Path(document.name).parent if document.name else None
        return Noted(value, kind, path, folder)
    bare = isinstance(value, str)
    if not bare and not (isinstance(value, dict) and "use" in value):
        if path not in document.bad:  # a search that was refused: it has no value
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
            taken = types_of(target)[name]
            if kind == "optimizers" and name == "learning_rate":
                taken = types.of_rate(taken)
            taken = lengths.or_length(taken, kind, name)
            within = (*path, name)
            call.arguments[name] = _checked(document, item, taken, within, known[name])
            if lengths.counts_steps(kind, name) and document.is_clean(within):
                call.arguments[name] = lengths.read_lengths(document, item, within)
        else:
            hint = did_you_mean(name, own_arguments(target))
            message = f"unknown argument of {part.name}; {hint}"
            document.problem((*path, name), message, key=True)
    missing = [n for n, d in known.items() if d is REQUIRED and n not in given]
    if missing:
        needed = " and ".join(f"`{name}:`" for name in missing)
        document.problem(at, f"{part.name} needs {needed}")
    return call


def _ready(document, value, kind, path):
    """The call that an object stands for, or None with the problem noted."""
    if not objects.is_of(value, kind):
        document.problem(path, _not_a_part(kind, objects.PythonObject(value)))
        return None
    make = None
    if kind == "models" and not objects.is_of(value, "layers"):
        make = _model_of
    elif kind == "data":
        make = _source_of
    return Ready(value, kind, path, make)


def _model_of(function):
    """The model that a function makes."""
    made = function()
    if not objects.is_of(made, "layers"):
        raise TypeError(
            "A function in the place of a model must return a `keras.Model`. Received: "
            f"{type(made).__name__}"
        )
    return made


def _source_of(data, seed=0):
    """The source that data of one's own stands for."""
    own = data if isinstance(data, objects.OwnData) else objects.OwnData(data)
    return own.source(seed)


def _not_a_part(kind, value):
    what = registry.singular(kind)
    message = f"{'an' if what[0] in 'aeiou' else 'a'} {what} is expected: its name, "
    message += "or {use: name, argument: value, ...}"
    if kind == "models":
        message = "a list of layers, or the name of a model, is expected"
    if isinstance(value, dict):
        meant = _meant(kind, value)
        message += "; `use:` is missing" + (f". Is it {meant}?" if meant else "")
    elif value is None:
        message += "; nothing is given"
    else:
        message += f". Received: {shown(value)}"
    return message


# Keys with which other config languages name a part.
_NAMING = ("type", "class", "class_name", "kind", "name", "layer", "_target_")


def _meant(kind, value):
    """A mapping without `use:` as it was probably meant; "" where nobody can tell."""
    for key in _NAMING:  # {type: Dropout, rate: 0.5}
        name = value.get(key)
        if isinstance(name, str) and _has(kind, name):
            return f"{{use: {name}{', ...' if len(value) > 1 else ''}}}"
    if len(value) != 1:
        return ""
    ((name, inner),) = value.items()
    if isinstance(inner, dict):  # Dense: {units: 3}
        return f"{{use: {name}, ...}}"
    if not _has(kind, name):
        return ""
    if inner is None:  # Flatten:
        return name
    first = next(iter(own_arguments(registry.find(kind, name).load())), "...")
    return f"{{use: {name}, {first}: {shown(inner)}}}"  # Dense: 10


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


def _checked(document, value, taken, path, default=REQUIRED):
    """An argument's value, the parts inside it made calls; what is wrong is noted.

    Args:
        taken: the `types.Type` that the argument takes.
        default: the argument's default, which is good whatever the type says.
    """
    if taken.path and isinstance(value, str) and value not in taken.literals:
        return whole_path(document, value, path)
    if type(plain(default)) is type(value) and plain(default) == value:
        return value
    if path in document.bad:  # a search that was refused: it has no value
        return value
    if isinstance(value, objects.PythonObject):
        return _checked_object(document, value, taken, path)
    several = taken.inside(value)
    if isinstance(value, dict) and "use" in value:
        kinds = taken.kinds
        if taken.anything or taken.callable:  # a layer may stand for a function
            kinds = registry.KINDS
        if kinds:
            return check_part(document, value, _kind(kinds, value["use"]), path)
    elif several is not None and isinstance(value, dict):
        return {k: _checked(document, v, several, (*path, k)) for k, v in value.items()}
    elif several is not None:
        return [_checked(document, v, several, (*path, i)) for i, v in enumerate(value)]
    elif isinstance(value, str) and _names_a_part(value, taken):
        return check_part(document, value, _kind(taken.kinds, value), path)
    if isinstance(value, dict | list | tuple):
        fault = f"{taken.names()} is expected"
    else:
        fault = taken.fault(value)
    if fault:
        fault = _explained(fault, value, taken)
        stop = "" if fault.endswith("?") else "."
        document.problem(path, f"{fault}{stop} Received: {shown(value)}")
    elif type(value) is int and taken.wants_float(default):
        return float(value)  # some classes refuse whole numbers
    return value


def _checked_object(document, given, taken, path):
    """The call that an object stands for as an argument; what is wrong is noted."""
    kinds = registry.KINDS if taken.anything else taken.kinds
    for kind in kinds:
        if kind != "data" and objects.is_of(given.value, kind):
            return Ready(given.value, kind, path)
    if callable(given.value) and (taken.callable or taken.anything):
        return Ready(given.value, "layers", path)
    document.problem(path, f"{taken.names()} is expected. Received: {shown(given)}")
    return given


def _names_a_part(text, taken):
    """Whether a text is the name of a part here, not a value by itself."""
    if taken.anything or text in taken.literals or taken.kinds in ((), registry.KINDS):
        return False
    if "str" in taken.scalars:  # Keras reads its own names: he_normal
        return "." in text
    known_only = taken.literals or taken.scalars - {"null"}
    return not known_only or _has(_kind(taken.kinds, text), text)


def _kind(kinds, name):
    """The first of some kinds that has this name; where none has, one to name."""
    found = (kind for kind in kinds if _has(kind, name))
    return next(found, kinds[0])


def _has(kind, name):
    try:
        registry.find(kind, name)
    except registry.RegistryError:
        return False
    return True


def _explained(fault, value, taken):
    """What is wrong with an argument's value, and what was probably meant."""
    if isinstance(value, dict):
        meant = next(filter(None, (_meant(kind, value) for kind in taken.kinds)), "")
        if meant:
            return f"{fault}; `use:` is missing. Is it {meant}?"
        return f"{fault}; a part is {{use: ...}}, a searched value {{search: ...}}"
    if not isinstance(value, str):
        return fault
    near = difflib.get_close_matches(value, filter(_is_text, taken.literals), 1, 0.6)
    if near:
        return f"{fault}; did you mean {near[0]!r}?"
    if {"float", "int"} & taken.scalars and text_hint(value, "number"):
        fault = types.number_words(taken)
    elif "bool" in taken.scalars and text_hint(value, "true"):
        fault = "true or false is expected"
    return fault + text_hint(value, fault)


def _is_text(value):
    return isinstance(value, str)


def suggestion(taken, value, message):
    """The name that was probably meant by a text which Keras does not know."""
    if taken.callable and "activation" in message:
        found = static.imported_names("keras.activations")
        known = [name for name in found if name not in ("get", "serialize")]
    else:
        kinds = taken.kinds if "str" in taken.scalars else ()
        found = [name for kind in kinds for name in registry.names(kind)]
        short = [n.partition(".")[2] for n in found if n.startswith("keras.")]
        known = [re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", n).lower() for n in short]
    return did_you_mean(value, known) if known else ""


def text_hint(text, message):
    """Why a text is no number or truth value, where it looks like one."""
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
