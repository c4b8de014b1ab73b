"""A call -> the object it makes. Errors keep Keras' words and gain a path."""

import re

import keras

from keras_dlparts.config.calls import Call
from keras_dlparts.config.lengths import Length
from keras_dlparts.config.parts import suggestion, text_hint
from keras_dlparts.config.signature import types_of
from keras_dlparts.support.messages import own_words


def construct(document, value):
    """The object a call makes, its argument parts made first; None with a problem."""
    if isinstance(value, list):
        return [construct(document, item) for item in value]
    if isinstance(value, dict):
        return {key: construct(document, item) for key, item in value.items()}
    if isinstance(value, Length):
        return value.number()
    if not isinstance(value, Call):
        return value
    before = len(document.problems)
    arguments = {k: construct(document, v) for k, v in value.arguments.items()}
    if len(document.problems) > before:
        return None
    try:
        return value.target(**arguments)
    except Exception as error:
        note_raised(document, value, error)
    return None


def note_raised(document, call, error):
    """Note what a part has raised, at the argument that its message names."""
    name = _blamed(call, error)
    message = f"{call.part.name}: {own_words(error)}"
    if name is None:
        document.problem(call.path, message)
    else:
        document.problem((*call.path, name), message + _hint(call, name, message))


def _blamed(call, error):
    """The argument that an error's message names, by its name or by its value.

    Its name must stand as Keras and our own parts write it: `name`, name=, 'name', or
    "name must" and "name should".
    """
    message = own_words(error)
    for form in (r"Received: {}=", r"`{}`|\b{}=|'{}'|\b{} (must|should)\b"):
        for name in call.arguments:
            if re.search(form.replace("{}", re.escape(name)), message):
                return name
    texts = [(n, v) for n, v in call.arguments.items() if isinstance(v, str)]
    ended = [name for name, text in texts if message.endswith(f": {text}")]
    return ended[0] if len(ended) == 1 else None


def _hint(call, name, message):
    """What was probably meant by an argument's text."""
    value = call.arguments[name]
    if not isinstance(value, str):
        return ""
    found = suggestion(types_of(call.target)[name], value, message)
    return f"; {found}" if found else text_hint(value, "number")


def shapes_of(structure):
    """The shapes of a structure of tensors, None for none."""
    return keras.tree.map_structure(
        lambda tensor: None if tensor is None else tuple(tensor.shape), structure
    )
