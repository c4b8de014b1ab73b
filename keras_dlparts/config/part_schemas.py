"""The JSON Schemas of parts: their names and their arguments, read from their source.

A part stands in a config by its name, or as a mapping with `use:` and its arguments. So
a kind's schema, `$defs/layers` for one, is any of three:

    a text           the name of a part that needs no arguments
    {use: ...}       the name of a part, which decides what the other keys are
    {search: ...}    a choice between parts

What several arguments say alike stands once, under `$defs/same.NAME`.

Besides JSON Schema's own words, three are for the language servers of editors. They
show `patternErrorMessage` and `errorMessage` in place of a pattern or a type, which
tell a reader less, and a `title` over what is said about an argument.
"""

import functools
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from keras_dlparts import registry, static
from keras_dlparts.config import lengths, types
from keras_dlparts.config.signature import REQUIRED, type_of

_UNREADABLE = (registry.RegistryError, ImportError, LookupError, OSError, SyntaxError)
# Keras' aliases, such as `he_normal` and `MSE`, have too many spellings to list.
_ALIASES = "[a-z0-9_]+|[A-Z]+"
_SPACE = {"$ref": "#/$defs/Space"}
# Of an argument without an annotation. An editor writes no colon where nothing is said.
_ANYTHING = {"if": {"type": "object", "required": ["search"]}, "then": _SPACE}


def definitions():
    """`$defs` of every kind, with all parts of it, and of what parts say alike."""
    kinds, arguments = {}, []
    for kind in registry.KINDS:
        names = registry.names(kind)
        shorts = Counter(name.partition(".")[2] for name in names)
        entries = [_entry(kind, name, shorts) for name in names]
        kinds |= _kind(kind, entries, arguments)
    kinds["activation"] = {"anyOf": [{"const": name} for name in _activations()]}
    return kinds | _said_once(arguments)


@dataclass(frozen=True)
class _Entry:
    """A name of a part, and what its source says."""

    name: str  # as a config writes it: with the vendor only where it must be
    vendor: str
    aliases: tuple  # of Keras' classes, as they are usually written
    home: tuple  # what the name stands for; Keras has several names for some classes
    about: static.Description | None  # None where the source cannot be read

    @property
    def required(self):
        given = self.about.parameters if self.about else ()
        return [one.name for one in given if one.default is None]

    @property
    def pattern(self):
        """Of what a config may write."""
        with_vendor = self.name.startswith(f"{self.vendor}.")
        optional = "" if with_vendor else f"({self.vendor}\\.)?"
        return "|".join([optional + re.escape(self.name), *self.aliases])

    def choice(self):
        """The name as one of several, with the first line of the docstring."""
        words = self.about.doc.partition("\n")[0] if self.about else ""
        return {"const": self.name} | ({"description": words} if words else {})


def _entry(kind, full, shorts):
    vendor, _, short = full.partition(".")
    name = short if shorts[short] == 1 else full
    try:
        target = registry.find(kind, full).target
        about = static.describe(target)
    except _UNREADABLE:
        return _Entry(name, vendor, (), (full,), None)
    if vendor != "keras":
        return _Entry(name, vendor, (), (full,), about)
    module, _, called = target.partition(":")
    home = static.imported_names(module).get(called, (module, called))
    usual = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", short).lower()
    return _Entry(name, vendor, (usual,), home, about)


def _kind(kind, entries, arguments):
    """`$defs` of a kind: the three forms of a part, and the names in two of them.

    Every mapping of arguments to their schemas is appended to `arguments`.
    """
    one = registry.singular(kind)
    article = "an" if one[0] in "aeiou" else "a"
    same = defaultdict(list)
    for entry in entries:
        same[entry.home].append(entry)
    # One name of each is offered, all are understood.
    simple = [several[0] for several in same.values() if not several[0].required]
    others = [several[0] for several in same.values() if several[0].required]
    aliases = [_ALIASES] if registry.has_aliases(kind) else []
    names = {"$ref": f"#/$defs/{kind}.names"}
    text = {
        "title": one,
        "type": "string",
        "errorMessage": f"{article} {one} is expected: its name, or "
        "{use: name, argument: value, ...}",
        "pattern": _all_of([e for e in entries if not e.required], aliases),
        "patternErrorMessage": f"no {one} that needs no arguments has this name; is it "
        f"{{use: name, argument: value, ...}}? All: dlparts list {kind}",
        "anyOf": [names],
    }
    use = {
        "type": "string",
        "pattern": _all_of(entries, aliases),
        "patternErrorMessage": f"unknown {one}. All: dlparts list {kind}",
        "anyOf": [names, *(entry.choice() for entry in others)],
    }
    told = []
    for several in same.values():
        pattern = "|".join(entry.pattern for entry in several)
        told.append(
            {
                "if": {"properties": {"use": {"pattern": f"^({pattern})$"}}},
                "then": _arguments(kind, several[0]),
            }
        )
        arguments.append(told[-1]["then"].get("properties", {}))
    common = {"properties": {"use": {"$ref": f"#/$defs/{kind}.use"}} | _common(kind)}
    with_name = {"type": "object", "required": ["use"]}
    forms = [{"$ref": f"#/$defs/{kind}.{form}"} for form in ("text", "part", "search")]
    return {
        kind: {"anyOf": forms},
        # The last one leaves it to the pattern to refuse what is no name.
        f"{kind}.names": {"anyOf": [*(entry.choice() for entry in simple), {}]},
        f"{kind}.text": text,
        f"{kind}.use": use,
        # What all parts of a kind take comes after what one takes: so it is offered.
        f"{kind}.part": {
            "title": one,
            **with_name,
            "allOf": [{"if": with_name, "then": {"allOf": told}}, common],
        },
        f"{kind}.search": search({"$ref": f"#/$defs/{kind}"}),
    }


def search(part):
    """The schema of a search between parts, each of which is as `part` says."""
    branches = {"type": "array", "minItems": 1, "items": part}
    return {
        "type": "object",
        "required": ["search"],
        "properties": {
            "search": {
                "anyOf": [
                    {"const": "one_of", "description": "one of the parts under `of:`"},
                    {"const": "choice", "description": "one of the `values:`"},
                ]
            },
            "of": branches,
            "values": branches,
            "default": {"description": "What plain training takes."},
        },
        "additionalProperties": False,
    }


def _all_of(entries, aliases):
    """A pattern of every name, with or without its vendor where that may be."""
    named = defaultdict(list)
    for entry in entries:
        vendor = "" if entry.name.startswith(f"{entry.vendor}.") else entry.vendor
        named[vendor].append(re.escape(entry.name))
    several = [
        (f"({vendor}\\.)?" if vendor else "") + f"({'|'.join(names)})"
        for vendor, names in named.items()
    ]
    return f"^({'|'.join([*several, *aliases])})$"


def _arguments(kind, entry):
    """The schema of the mapping that holds a part's arguments."""
    if entry.about is None:  # anything may be right
        return {"title": entry.name}
    own = {one.name: _argument(one, kind) for one in entry.about.parameters}
    known = {"use": True} | own | {k: True for k in _common(kind) if k not in own}
    found = {"title": entry.name, "properties": known}
    if entry.required:
        found["required"] = entry.required
    if not entry.about.open_ended:
        found["additionalProperties"] = False
    return found


@functools.cache
def _common(kind):
    """Arguments that all parts of a kind take: every Keras layer's, and `from`."""
    if kind != "layers":
        return {}
    every = static.describe("keras.layers:Layer").parameters
    names = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    sources = {
        "description": "The layers it takes its input from, by their names.",
        "anyOf": [*names, {"type": "null"}],
    }
    return {one.name: _argument(one, kind) for one in every} | {"from": sources}


def _argument(argument, kind):
    """What an argument of a part takes, in a config that may search over it."""
    taken, default = type_of(argument)
    if kind == "optimizers" and argument.name == "learning_rate":
        taken = types.of_rate(taken)
    taken = lengths.or_length(taken, kind, argument.name)
    words = argument.doc
    if argument.module.startswith("keras."):
        words = _beginning(words)
    found = {"description": words} if words else {}
    if default not in (REQUIRED, ..., None):
        found["default"] = default
    inner = taken.schema()
    if not inner:
        return found | {"anyOf": [_ANYTHING]}
    several = [*map(_searched_items, inner.get("anyOf", [inner])), _SPACE]
    if taken.callable:  # a layer may stand for a function
        several.append({"type": "object", "required": ["use"]})
        if argument.name.endswith("activation"):
            several.insert(0, {"$ref": "#/$defs/activation"})
    if types.is_scalar(default) and taken.fault(default):
        several.append({"const": default})  # good, whatever the annotation says
    return found | {"anyOf": several}


def _searched_items(schema):
    """Let the items of a list be searched over too; parts among them already may."""
    items = schema.get("items")
    if not items or "$ref" in items:
        return schema
    return schema | {"items": {"anyOf": [*items.get("anyOf", [items]), _SPACE]}}


def _beginning(words, most=100):
    """The first sentences of a text, up to so many characters, but one at least.

    Of Keras' arguments, whose whole texts would be half of the schema.
    """
    sentences = re.split(r"(?<=[.!?]) ", words)
    found = sentences[0]
    for sentence in sentences[1:]:
        if len(found) + len(sentence) >= most:
            break
        found += f" {sentence}"
    return found


@functools.cache
def _activations():
    """Keras' activation functions."""
    named = static.imported_names("keras.activations")
    return sorted(named.keys() - {"get", "serialize", "deserialize"})


def _said_once(arguments):
    """Put references into mappings of arguments where several say the same.

    Returns: `$defs` with what they refer to. First it is what an argument takes, then
    all of it: Keras' layers have most arguments in common.
    """
    shared = {}
    taken = [
        (argument, "anyOf", "takes")
        for each in arguments
        for argument in each.values()
        if argument is not True and "anyOf" in argument
    ]
    for (argument, key, _), place in zip(taken, _places(taken), strict=True):
        if place:
            argument["$ref"] = place
            shared[place.rpartition("/")[2]] = {key: argument.pop(key)}
    whole = [(each, name, f"same.{name}") for each in arguments for name in each]
    for (each, name, _), place in zip(whole, _places(whole), strict=True):
        if place:
            shared[place.rpartition("/")[2]] = each[name]
            each[name] = {"$ref": place}
    return shared


def _places(said):
    """Where each of `said`, a list of (mapping, key, name), is to stand once.

    None for what stands a single time or is hardly longer than a reference.
    """
    texts = [json.dumps(mapping[key]) for mapping, key, _ in said]
    times, known = Counter(texts), {}
    counts = Counter()
    for text, (_, _, name) in zip(texts, said, strict=True):
        if text not in known and times[text] > 1 and len(text) > 45:
            counts[name] += 1
            number = counts[name]
            known[text] = f"#/$defs/{name}" + (f".{number}" if number > 1 else "")
    return [known.get(text) for text in texts]
