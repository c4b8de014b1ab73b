"""What a part's constructor takes: the signature is the schema."""

import ast
import functools
import inspect
import textwrap

from keras_dlparts.backend.keras_private import LAYER_MODULE
from keras_dlparts.static import handed_on

REQUIRED = inspect.Parameter.empty
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@functools.cache
def arguments(target):
    """{name: default or REQUIRED} of a class or function.

    While a constructor forwards **kwargs, its base class' arguments count too, up
    to Keras' own base layer; not those that it gives the base itself.
    """
    if not inspect.isclass(target):
        return _named(inspect.signature(target))[0]
    found, given, count = {}, set(), 0
    for base in target.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        own, open_ended = _named(inspect.signature(base.__init__))
        taken = given | {*list(own)[:count]}
        found |= {k: v for k, v in own.items() if k not in found and k not in taken}
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
    named = {p.name: p.default for p in parameters if p.kind in _NAMED}
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _handed_on(base):
    try:
        source = textwrap.dedent(inspect.getsource(base.__init__))
    except (OSError, TypeError):  # no source: whatever is in **kwargs goes on
        return set(), 0, True
    return handed_on(ast.parse(source))
