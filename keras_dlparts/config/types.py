"""What an argument takes: the values, the words for it, and the JSON Schema of it."""

import math
from dataclasses import dataclass, replace

from keras_dlparts import registry
from keras_dlparts.config.errors import shown


@dataclass(frozen=True)
class Type:
    """What an argument takes.

    A config's value is a scalar, a list, a mapping or a part. With a field for each of
    these, any union of types is one `Type`.
    """

    anything: bool = False
    scalars: frozenset = frozenset()  # of "int", "float", "bool", "str", "null"
    literals: tuple = ()
    kinds: tuple = ()
    items: "Type | None" = None  # of a list
    length: int | None = None  # of that list, where it is given
    values: "Type | None" = None  # of a mapping
    callable: bool = False  # a function, which a config names by a text
    least: float | None = None  # of a number
    above: float | None = None
    path: bool = False  # whether a text is the path of a file or a folder

    def __or__(self, other):
        lengths = {each.length for each in (self, other) if each.items is not None}
        return Type(
            anything=self.anything or other.anything,
            scalars=self.scalars | other.scalars,
            literals=(*self.literals, *other.literals),
            kinds=tuple(dict.fromkeys((*self.kinds, *other.kinds))),
            items=_either(self.items, other.items),
            length=lengths.pop() if len(lengths) == 1 else None,
            values=_either(self.values, other.values),
            callable=self.callable or other.callable,
            least=self.least if self.least is not None else other.least,
            above=self.above if self.above is not None else other.above,
            path=self.path or other.path,
        )

    def names(self, plural=False):
        """What is taken, as words: `a number or a layer`, of several `numbers`."""
        found = [word for name, word in _WORDS.items() if name in self.scalars]
        if self.literals:
            words = ", ".join(map(shown, self.literals))
            words = f"one of {words}" if len(self.literals) > 1 else words
            found = [(words, words), *found]
        if "float" in self.scalars:  # a whole number is one
            found = [word for word in found if word != _WORDS["int"]]
        for kind in self._named_kinds():
            one = registry.singular(kind)
            article = "an" if one[0] in "aeiou" else "a"
            found.append((f"{article} {one}", kind))
        if self.items is not None and not self.items.anything:
            inner = f"of {self.length} " if self.length else "of "
            inner += self.items.names(plural=True)
            found.append((f"a list {inner}", f"lists {inner}"))
        elif self.items is not None and not found:
            found.append(("a list", "lists"))
        if self.values is not None and (not found or not self.values.anything):
            found.append(("a mapping", "mappings"))
        return " or ".join(word[plural] for word in found) or "nothing (null)"

    def _named_kinds(self):
        """The kinds, where not all of them are taken."""
        return self.kinds if len(self.kinds) < len(registry.KINDS) else ()

    def inside(self, value):
        """The type of what stands in a list or mapping; None if it is not taken."""
        if isinstance(value, dict):
            return ANY if self.anything else self.values
        if not isinstance(value, list | tuple):
            return None
        fits = self.length in (None, len(value))
        return ANY if self.anything else self.items if fits else None

    def wants_float(self, default):
        """Whether a whole number stands for a float here, given the default.

        Of Keras' arguments whose default is a whole number it is not known.
        """
        if "float" not in self.scalars or "int" in self.scalars or self.literals:
            return False
        return self.items is None or type(default) is float

    def fault(self, value):
        """Why a scalar is not taken; None where it is."""
        name = _SCALARS[type(value)]
        if not self.anything:
            if any(type(w) is type(value) and w == value for w in self.literals):
                return None
            whole = name == "int" and "float" in self.scalars
            if name not in self.scalars and not whole:
                return f"{self.names()} is expected"
        if name not in ("int", "float"):
            return None
        if not math.isfinite(value):
            return "a finite number is expected"
        if self.above is not None and value <= self.above:
            return f"a number above {self.above:g} is expected"
        if self.least is not None and value < self.least:
            return f"a number of at least {self.least:g} is expected"
        return None

    def schema(self):
        """The JSON Schema of what is taken, searched values left out."""
        if self.anything:
            return {}
        found = [_SCHEMAS[name] for name in _SCHEMAS if name in self.scalars]
        if "float" in self.scalars:
            bounds = {"minimum": self.least, "exclusiveMinimum": self.above}
            bounds = {key: at for key, at in bounds.items() if at is not None}
            found = [f for f in found if f != {"type": "integer"}]
            found = [f | bounds if f == {"type": "number"} else f for f in found]
        if self.literals:
            found.append({"enum": list(self.literals)})
        found += [{"$ref": f"#/$defs/{kind}"} for kind in self._named_kinds()]
        if self.items is not None:
            size = {} if self.length is None else {"minItems": self.length}
            size |= {} if self.length is None else {"maxItems": self.length}
            items = {"items": inner} if (inner := self.items.schema()) else {}
            found.append({"type": "array"} | items | size)
        if self.values is not None:
            inner = self.values.schema()
            more = {"additionalProperties": inner} if inner else {}
            found.append({"type": "object"} | more)
        return found[0] if len(found) == 1 else {"anyOf": found}


ANY = Type(anything=True)
_SCALARS = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}
_WORDS = {
    "float": ("a number", "numbers"),
    "int": ("a whole number", "whole numbers"),
    "bool": ("true or false", "true or false"),
    "str": ("text", "texts"),
}
_SCHEMAS = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "null": {"type": "null"},
}


def is_scalar(value):
    """Whether a value is what a config's scalars are."""
    return type(value) in _SCALARS


def number_words(taken):
    """What is expected where a number was given as text."""
    name = "float" if "float" in taken.scalars else "int"
    return f"{_WORDS[name][0]} is expected"


def of_rate(taken):
    """The same type with numbers above 0 only, as a learning rate must be."""
    return replace(taken, above=0.0)


def _either(one, other):
    return one | other if one is not None and other is not None else one or other
