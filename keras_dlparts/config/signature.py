"""What a part takes: the annotated signature is the schema.

Of an imported part it is read by `inspect` (`arguments`, `types`), of one that is not
imported from its source (`type_of`).
"""

import ast
import functools
import inspect
import textwrap

from keras_dlparts.backend.keras_private import LAYER_MODULE
from keras_dlparts.config import annotations, keras_types, types
from keras_dlparts.static import handed_on

REQUIRED = inspect.Parameter.empty
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def arguments(target):
    """{name: default or REQUIRED} of a class or function.

    While a constructor forwards **kwargs, its base class' arguments count too, up
    to Keras' own base layer; not those that it gives the base itself.
    """
    return {name: one.default for name, (one, _) in _parameters(target).items()}


@functools.cache
def types_of(target):
    """{name: `types.Type`} of the same arguments."""
    found = {}
    for name, (one, owner) in _parameters(target).items():
        module = owner.__module__
        annotation = one.annotation
        if annotation is REQUIRED and _is_keras(module):
            default = ... if one.default is REQUIRED else one.default
            annotation = keras_types.annotation(owner.__name__, name, default)
            annotation = REQUIRED if annotation is None else annotation
        if annotation is REQUIRED:
            found[name] = types.ANY
        else:
            found[name] = annotations.of_annotation(annotation, module)
    return found


def type_of(argument):
    """The `types.Type` of a `static.Argument`, and its default or REQUIRED.

    A default that is no literal, as `2.0**15`, is `...`: the source does not tell it.
    """
    try:
        text = argument.default
        default = REQUIRED if text is None else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        default = ...
    annotation = argument.annotation
    if annotation is None and _is_keras(argument.module):
        known = ... if default is REQUIRED else default
        annotation = keras_types.annotation(argument.owner, argument.name, known)
    if annotation is None:
        return types.ANY, default
    return annotations.of_source(annotation, argument.module), default


def _is_keras(module):
    return module.partition(".")[0] == "keras"


@functools.cache
def _parameters(target):
    """{name: (inspect.Parameter, the class or function that defines it)}."""
    if not inspect.isclass(target):
        own = _named(inspect.signature(target))[0]
        return {name: (one, target) for name, one in own.items()}
    found, given, count = {}, set(), 0
    for base in target.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        own, open_ended = _named(inspect.signature(base.__init__))
        taken = given | {*list(own)[:count]}
        found |= {
            name: (one, base)
            for name, one in own.items()
            if name not in found and name not in taken
        }
        names, count, forwards = _handed_on(base)
        given |= names
        if not (open_ended and forwards) or _is_keras_layer(base):
            break
    return found


def own_arguments(target):
    """The arguments without those that every Keras layer takes."""
    named = arguments(target)
    if not inspect.isclass(target):
        return named
    bases = [b for b in target.__mro__ if _is_keras_layer(b)]
    common = _named(inspect.signature(bases[0].__init__))[0] if bases else {}
    own = _named(inspect.signature(target.__init__))[0]
    return {k: v for k, v in named.items() if k not in common or k in own}


def _is_keras_layer(base):
    return base.__module__ == LAYER_MODULE


def _named(signature):
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    named = {p.name: p for p in parameters if p.kind in _NAMED}
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _handed_on(base):
    try:
        source = textwrap.dedent(inspect.getsource(base.__init__))
    except (OSError, TypeError):  # without its source all of **kwargs count
        return set(), 0, True
    return handed_on(ast.parse(source))
