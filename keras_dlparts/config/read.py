"""A YAML, TOML or JSON file -> a Document: plain data and nothing else.

YAML is read by version 1.2: `no` is text and `1e-3` is a number. In all three formats
keys are text and stand once; tags are refused; size, depth and aliases are limited.
"""

import json
import re
import tomllib
from pathlib import Path

from keras_dlparts.config.document import MAX_DEPTH, Document
from keras_dlparts.config.places import json_places, toml_places
from keras_dlparts.config.syntax import (
    fail,
    invalid,
    place,
    refuse_long_numbers,
    repeated,
)
from keras_dlparts.config.yaml_values import read_yaml

MAX_BYTES = 256 * 1024


def read(path):
    """Read a config file. Raises ConfigError with everything wrong in it."""
    path = Path(path)
    formats = {".yaml": read_yaml, ".yml": read_yaml, ".toml": _toml, ".json": _json}
    form = formats.get(path.suffix.lower())
    document = Document(None, name=str(path), folder=str(path.parent))
    if form is None:
        fail(document, "a config ends in .yaml, .yml, .toml or .json; see the README")
    text = _text(path, document)
    if text.strip():
        form(text, document)
    if not document.problems and not isinstance(document.values, dict):
        what = {type(None): "an empty file", str: "text", list: "a list"}
        what = what.get(type(document.values), "a single value")
        message = f"a config is a mapping, of `model:` and more keys. Received: {what}"
        document.problem((), message)
    document.raise_problems()
    return document


def parse_value(text):
    """A value as YAML writes it, for `--set path=value`."""
    document = Document(None)
    read_yaml(text, document)
    document.raise_problems()
    return document.values


def _text(path, document):
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        fail(document, "this is a folder; a config is a file")
    except (OSError, ValueError) as error:
        fail(document, f"cannot be read: {getattr(error, 'strerror', error)}")
    if len(data) > MAX_BYTES:
        fail(document, f"a config has at most {MAX_BYTES // 1024} KiB; this has more")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fail(document, "not text in UTF-8; is this the right file?", line, 1)
    if "\0" in text:
        fail(document, "holds zero bytes, so it is not text; is this the right file?")
    return text


def _toml(text, document):
    refuse_long_numbers(text, document)
    try:
        document.values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(
            r" \(at (?:line (\d+), column (\d+)|end of document)\)", str(error)
        )
        message = str(error).replace(found[0], "") if found else str(error)
        at = found.groups() if found and found[1] else place(text, len(text))
        invalid(document, "TOML", message, *at)
    except RecursionError:
        fail(document, f"nested deeper than {MAX_DEPTH} levels")
    document.keys, document.marks = toml_places(text)


def _json(text, document):
    refuse_long_numbers(text, document)
    try:
        document.values = json.loads(text)  # NaN too, a float as YAML's `.nan`
    except json.JSONDecodeError as error:
        invalid(document, "JSON", error.msg, error.lineno, error.colno)
    except RecursionError:
        fail(document, f"nested deeper than {MAX_DEPTH} levels")
    document.keys, document.marks, twice = json_places(text)
    for path, at in twice:
        repeated(document, path, at)
