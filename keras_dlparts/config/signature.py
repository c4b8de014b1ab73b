"""What a part's constructor takes: the signature is the schema."""

import inspect

REQUIRED = inspect.Parameter.empty
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def arguments(target):
    """{name: default or REQUIRED} of a class or function.

    While a constructor forwards **kwargs, its base class' arguments count too, up
    to Keras' own base layer.
    """
    if not inspect.isclass(target):
        return _named(inspect.signature(target))[0]
    found = {}
    for base in target.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        own, open_ended = _named(inspect.signature(base.__init__))
        found |= {name: value for name, value in own.items() if name not in found}
        if not open_ended or base.__module__ == "keras.src.layers.layer":
            break
    return found


def own_arguments(target):
    """The arguments without those that every Keras layer takes."""
    named = arguments(target)
    if not inspect.isclass(target):
        return named
    bases = [b for b in target.__mro__ if b.__module__ == "keras.src.layers.layer"]
    common = _named(inspect.signature(bases[0].__init__))[0] if bases else {}
    own = _named(inspect.signature(target.__init__))[0]
    return {k: v for k, v in named.items() if k not in common or k in own}


def _named(signature):
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    named = {p.name: p.default for p in parameters if p.kind in _NAMED}
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters)
