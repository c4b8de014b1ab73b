"""An annotation -> the `Type` of what an argument takes: the annotation is the schema.

    annotation                            value in a config
    int, float, bool, str, None           a scalar; a whole number is a float too
    Literal["a", "b"]                     one of these
    list[X], tuple[X, ...], Sequence[X]   a list; `tuple[X, Y]` of that length
    dict[str, X]                          a mapping
    keras.layers.Layer and the like       a part of that kind, see `BASES`
    X | Y                                 either
    os.PathLike, pathlib.Path             a text: a path, relative to the config's file
    Callable                              nothing by itself: no plain value is one
    none, Any, or any other class         whatever is given

Annotations are read in two forms: as objects, where a part was imported, and as source
text, where it was not (`dlparts schema` imports no part). Both give the same `Type`.
"""

import ast
import functools
import os
import typing
from dataclasses import replace

from keras_dlparts import registry, static
from keras_dlparts.config.types import ANY, Type

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
_SIMPLE = {
    name: Type(scalars=frozenset({name})) for name in ("int", "float", "bool", "str")
}
_SIMPLE["None"] = _SIMPLE["NoneType"] = Type(scalars=frozenset({"null"}))
_SIMPLE |= {
    "Callable": Type(callable=True),
    "PathLike": Type(scalars=frozenset({"str"}), path=True),
    # For Keras' own arguments, in `keras_types.py`.
    "Positive": Type(scalars=frozenset({"float"}), above=0.0),
    "NotNegative": Type(scalars=frozenset({"float"}), least=0.0),
    # Where only the default is known, and that is a number.
    "NumberOrMore": Type(
        scalars=frozenset({"float", "null"}),
        kinds=registry.KINDS,
        items=ANY,
        values=ANY,
    ),
}
_SIMPLE["Path"] = _SIMPLE["PathLike"]
_LISTS = ("list", "List", "tuple", "Tuple", "Sequence", "Iterable", "set", "Set")
_MAPPINGS = ("dict", "Dict", "Mapping")


def of_annotation(annotation, module):
    """The `Type` of an annotation as an object; texts in it are read in `module`."""
    return _usable(_of_object(annotation, module))


@functools.cache
def of_source(text, module):
    """The `Type` of an annotation's source, which stands in the module of that name."""
    try:
        return _usable(_of_node(ast.parse(text.strip(), mode="eval").body, module))
    except SyntaxError:
        return ANY


def _of_object(annotation, module):
    annotation = getattr(annotation, "__forward_arg__", annotation)
    if isinstance(annotation, str):
        return _of_node(ast.Constant(annotation), module)
    if annotation is ...:
        return ...
    if annotation is None:
        return _SIMPLE["None"]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return Type(literals=inner)
    if origin is not None:
        name = "Annotated"
        if origin is not typing.Annotated:
            name = getattr(origin, "__name__", "Union")
        inner = _telling(name, inner)
        return _composed(name, [_of_object(each, module) for each in inner])
    if not isinstance(annotation, type):
        return ANY
    if issubclass(annotation, os.PathLike):
        return _SIMPLE["PathLike"]
    if annotation.__module__ in ("builtins", "collections.abc", "os"):
        return _named(annotation.__name__)
    return _of_class([(c.__module__, c.__name__) for c in annotation.__mro__])


def _of_node(node, module):
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return _of_node(ast.parse(node.value, mode="eval").body, module)
        return {None: _SIMPLE["None"], ...: ...}.get(node.value, ANY)
    if isinstance(node, ast.BinOp):
        return _of_node(node.left, module) | _of_node(node.right, module)
    if isinstance(node, ast.Subscript):
        name = ast.unparse(node.value).rpartition(".")[2]
        several = isinstance(node.slice, ast.Tuple)
        inner = node.slice.elts if several else [node.slice]
        if name == "Literal":
            return Type(literals=tuple(ast.literal_eval(each) for each in inner))
        inner = _telling(name, inner)
        return _composed(name, [_of_node(each, module) for each in inner])
    if not isinstance(node, ast.Name | ast.Attribute):
        return ANY
    found = _named(ast.unparse(node).rpartition(".")[2])
    return _of_class(static.ancestry(node, module)) if found is ANY else found


def _telling(name, inner):
    """Of what stands in the brackets of `name[...]`, that which tells the value."""
    return {"Annotated": inner[:1], "Callable": ()}.get(name, inner)


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
        return Type(items=_usable(either), length=len(inner) if exact else None)
    if name in _MAPPINGS:
        return Type(values=_usable(several[-1]))
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


def _usable(taken):
    """A type; anything, where a config has no value of it, as of a bare `Callable`."""
    return ANY if taken is ... or replace(taken, callable=False) == Type() else taken
