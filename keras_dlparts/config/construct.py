"""A call -> the object it makes. Errors keep Keras' words and gain a path."""

import re

import keras

from keras_dlparts.config.errors import did_you_mean
from keras_dlparts.config.parts import Call, choices, text_hint


def construct(document, value):
    """The object a call makes, its argument parts made first; None with a problem."""
    if isinstance(value, list):
        return [construct(document, item) for item in value]
    if not isinstance(value, Call):
        return value
    before = len(document.problems)
    arguments = {k: construct(document, v) for k, v in value.arguments.items()}
    if len(document.problems) > before:
        return None
    try:
        return value.target(**arguments)
    except Exception as error:
        name = _blamed(value, error)
        message = f"{value.part.name}: {own_words(error)}"
        if name is None:
            document.problem(value.path, message)
        else:
            hint = _hint(name, value.arguments[name])
            document.problem((*value.path, name), message + hint)
    return None


def own_words(error):
    """An exception's own words, without Keras' and the backend's appendices."""
    text = str(error).split("\n\nArguments received by")[0]
    text = text.split("Exception encountered: ")[-1].strip()
    text = re.sub(r"^Exception encountered when calling .*?\n+", "", text)
    text = re.sub(r"\x1b\[[0-9;]*m|\{\{.*?\}\} | \[Op:\w+\]( name:)?", "", text)
    return text.strip() or type(error).__name__


def _blamed(call, error):
    """The argument that an error's message names, by its name or by its value."""
    message = str(error)
    for name in call.arguments:
        if re.search(rf"`{name}`|\b{name}=|'{name}'|\b{name} (must|should)", message):
            return name
    for name, value in call.arguments.items():
        if isinstance(value, str) and re.search(rf": {re.escape(value)}$", message):
            return name
    for name, value in call.arguments.items():  # '<=' not supported between ... 'str'
        if isinstance(value, str | list | dict) and type(value).__name__ in message:
            return name
    return None


def _hint(name, value):
    """What was probably meant by an argument's text."""
    if isinstance(value, dict):
        return "; a part is {use: ...}, a searched value {search: ...}"
    if not isinstance(value, str):
        return ""
    known = choices(name)
    return f"; {did_you_mean(value, known)}" if known else text_hint(value, "number")


def shapes_of(structure):
    """The shapes of a structure of tensors, None for none."""
    return keras.tree.map_structure(
        lambda tensor: None if tensor is None else tuple(tensor.shape), structure
    )
