"""What an argument takes, read from its annotation: the annotation is the schema.

    annotation                            value in a config
    int, float, bool, str, None           a scalar; a whole number is a float too
    Literal["a", "b"]                     one of these
    list[X], tuple[X, ...], Sequence[X]   a list; `tuple[X, Y]` of that length
    dict[str, X]                          a mapping
    keras.layers.Layer and the like       a part of that kind, see `BASES`
    X | Y                                 either
    Callable, os.PathLike                 nothing by itself: no plain value is one
    none, Any, or any other class         whatever is given

Annotations are read in two forms: as objects, where a part was imported, and as source
text, where it was not (`dlparts schema` imports no part). Both give the same `Type`.
"""

import ast
import functools
import math
import typing
from dataclasses import dataclass, replace

from keras_dlparts import registry, static
from keras_dlparts.config.errors import shown

# Base classes by the package they come from, and the kind of part that each stands for.
BASES = {
    ("keras", "Model"): "models",
    ("keras", "Layer"): "layers",
    ("keras", "Optimizer"): "optimizers",
    ("keras", "LearningRateSchedule"): "schedules",
    ("keras", "Loss"): "losses",
    ("keras", "Metric"): "metrics",
    ("keras", "Callback"): "callbacks",
    ("keras", "Initializer"): "initializers",
    ("keras", "Regularizer"): "regularizers",
    ("keras", "Constraint"): "constraints",
    ("keras_dlparts", "ClippingRule"): "clipping",
    ("keras_dlparts", "Source"): "data",
}


@dataclass(frozen=True)
class Type:
    """What an argument takes. A config's value is a scalar, a list, a mapping or a
    part, so a union needs no more than one field for each of these."""

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
        for kind in self.kinds if len(self.kinds) < len(registry.KINDS) else ():
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

    def inside(self, value):
        """The type of what stands in a list or mapping; None if it is not taken."""
        if isinstance(value, dict):
            return ANY if self.anything else self.values
        if not isinstance(value, list | tuple):
            return None
        fits = self.length in (None, len(value))
        return ANY if self.anything else self.items if fits else None

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
        found += [{"$ref": f"#/$defs/{kind}"} for kind in self.kinds]
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
_FUNCTION = Type(callable=True)
_SIMPLE = {name: Type(scalars=frozenset({name})) for name in ("int", "float", "bool")}
_SIMPLE |= {
    "str": Type(scalars=frozenset({"str"})),
    "None": Type(scalars=frozenset({"null"})),
    "NoneType": Type(scalars=frozenset({"null"})),
    "Callable": _FUNCTION,
    "PathLike": Type(),
    # For Keras' own arguments, in `keras_types.py`.
    "Positive": Type(scalars=frozenset({"float"}), above=0.0),
    "NotNegative": Type(scalars=frozenset({"float"}), least=0.0),
    # What a number may be replaced by where only its default is known.
    "NumberOrMore": Type(
        scalars=frozenset({"float", "null"}),
        kinds=registry.KINDS,
        items=ANY,
        values=ANY,
    ),
}
_LISTS = ("list", "List", "tuple", "Tuple", "Sequence", "Iterable", "set", "Set")
_MAPPINGS = ("dict", "Dict", "Mapping")


def of_annotation(annotation, module):
    """The `Type` of an annotation as an object; texts in it are read in `module`."""
    annotation = getattr(annotation, "__forward_arg__", annotation)
    if isinstance(annotation, str):
        return of_source(annotation, module)
    if annotation is ... or annotation is None:
        return annotation if annotation is ... else _SIMPLE["None"]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return Type(literals=inner)
    if origin is typing.Annotated or getattr(origin, "__name__", "") == "Callable":
        inner = inner[:1] if origin is typing.Annotated else ()
    if origin is not None:
        name = getattr(origin, "__name__", "Union")
        return _composed(name, [of_annotation(each, module) for each in inner])
    if not isinstance(annotation, type):
        return ANY
    if annotation.__module__ in ("builtins", "collections.abc", "os"):
        return _named(annotation.__name__)
    return _of_class([(c.__module__, c.__name__) for c in annotation.__mro__])


@functools.cache
def of_source(text, module):
    """The `Type` of an annotation's source, which stands in the module of that name."""
    try:
        return _of_node(ast.parse(text.strip(), mode="eval").body, module)
    except SyntaxError:
        return ANY


def _of_node(node, module):
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return of_source(node.value, module)
        return {None: _SIMPLE["None"], ...: ...}.get(node.value, ANY)
    if isinstance(node, ast.BinOp):
        return _of_node(node.left, module) | _of_node(node.right, module)
    if isinstance(node, ast.Subscript):
        name = ast.unparse(node.value).rpartition(".")[2]
        several = isinstance(node.slice, ast.Tuple)
        inner = node.slice.elts if several else [node.slice]
        if name == "Literal":
            return Type(literals=tuple(ast.literal_eval(each) for each in inner))
        if name in ("Annotated", "Callable"):
            inner = inner[:1] if name == "Annotated" else ()
        return _composed(name, [_of_node(each, module) for each in inner])
    if not isinstance(node, ast.Name | ast.Attribute):
        return ANY
    found = _named(ast.unparse(node).rpartition(".")[2])
    return _of_class(static.ancestry(node, module)) if found is ANY else found


def _named(name):
    """The `Type` of a name that means the same everywhere."""
    if name in (*_LISTS, *_MAPPINGS):
        return _composed(name, [])
    return _SIMPLE.get(name, ANY)


def _composed(name, inner):
    """The `Type` of `name[inner, ...]`."""
    several = [each for each in inner if each is not ...] or [ANY]
    either = functools.reduce(Type.__or__, several)
    if name in _LISTS:
        exact = name in ("tuple", "Tuple") and inner and ... not in inner
        return Type(items=either, length=len(inner) if exact else None)
    if name in _MAPPINGS:
        return Type(values=inner[-1] if inner else ANY)
    if name == "Optional":
        return either | _SIMPLE["None"]
    if name in ("Union", "UnionType", "Annotated"):
        return either
    return _SIMPLE.get(name, ANY)


def _of_class(ancestry):
    """The `Type` of a class, from the (module, name) of it and of its bases."""
    for module, name in ancestry:
        kind = BASES.get((module.partition(".")[0], name))
        if kind is not None:
            return Type(kinds=(kind,))
    return ANY


def _either(one, other):
    return one | other if one is not None and other is not None else one or other


def is_scalar(value):
    return type(value) in _SCALARS


def number_words(taken):
    """What is wrong where a number was given as text."""
    name = "float" if "float" in taken.scalars else "int"
    return f"{_WORDS[name][0]} is expected"


def usable(taken):
    """A type; anything, where a config has no value of it, as of a bare `Callable`."""
    return ANY if replace(taken, callable=False) == Type() else taken


def of_rate(taken):
    """The same, where numbers must be positive, as an optimizer's learning rate."""
    return replace(taken, above=0.0)
