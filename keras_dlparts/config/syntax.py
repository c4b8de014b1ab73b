"""What is wrong with a text that is no YAML, TOML or JSON at all."""

import re

from keras_dlparts.config.errors import ConfigError, Problem

# A piece of what the parsers of the formats say: what to do about it.
HINTS = {
    "mapping values are not allowed": "a key stands as `key: value`, with a space "
    "after the colon, below the first letter of the key before it",
    "'\\t' that cannot start": "indent with spaces, not with tabs",
    "another document": "keep one config a file, without `---` between",
    "expected ',' or": "is a bracket or a comma missing before this place?",
    "expected <block end>": "do all keys of this mapping start in one column?",
    "quoted scalar": "is a quote not closed?",
    "Invalid control character": "is a quote not closed?",
    "character '\\n'": "is a quote not closed?",
    'Expected "\'"': "is a quote not closed?",
    "Cannot overwrite a value": "the key was given before",
    "Invalid value": "text stands in quotes; true and false in small letters",
    "Expecting value": "text stands in double quotes, true, false and null in small "
    "letters; nothing follows a last comma; JSON has no comments",
    "double quotes": "keys stand in double quotes; nothing follows a last comma",
    "',' delimiter": "is a comma or a closing bracket missing before this place?",
}


def fail(document, message, line=None, column=None):
    """Stop at a fault that leaves nothing to go on with."""
    at = (int(line), int(column)) if line else ()
    raise ConfigError([Problem(document.name, at, "", message)])


def invalid(document, form, message, line=None, column=None):
    """Stop at what a parser refuses: its words, and what to do."""
    hint = next((mend for words, mend in HINTS.items() if words in message), "")
    text = "; ".join(filter(None, [f"not valid {form}: {message}", hint]))
    fail(document, text, line, column)


def place(text, position):
    """(line, column), from 1, of a position in a text."""
    start = text.rfind("\n", 0, position) + 1
    return text.count("\n", 0, position) + 1, position - start + 1


def refuse_long_numbers(text, document):
    """Python takes seconds for such, or refuses with a ValueError of its own."""
    if found := re.search(r"[0-9_]{1000}", text):
        at = place(text, found.start())
        fail(document, "a number has less than 1000 digits", *at)


def repeated(document, path, at):
    """Note a key that stands twice in one mapping."""
    first = document.keys[path]
    document.keys[path] = at
    message = f"duplicate key {path[-1]!r}, first given in line {first[0]}"
    document.problem(path, message, key=True)
