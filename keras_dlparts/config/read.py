"""A YAML, TOML or JSON file -> a Document: plain data and nothing else.

Strict where the formats are treacherous: YAML 1.2 scalars (`no` is text, `1e-3`
a number), no tags, no duplicate keys, text keys only; size, depth and aliases
are capped.
"""

import json
import re
import tomllib
from pathlib import Path

import yaml

from keras_dlparts.config.document import Document
from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.config.toml_places import toml_places

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_NODES = 50_000


class _Loader(yaml.SafeLoader):
    """Composes nodes with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own spelling


_SCALARS = {
    "null": (r"null|Null|NULL|~|", lambda text: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", lambda text: _integer(text)),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        lambda text: (
            float(text.replace(".i", "i").replace(".I", "I").lstrip("."))
            if text.lower().endswith(("inf", "nan"))
            else float(text)
        ),
    ),
}
for _name, (_pattern, _) in _SCALARS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), None
    )


def _integer(text):
    return int(text, 0) if text.lower().startswith(("0x", "0o")) else int(text)


def read(path):
    """Read a config file. Raises ConfigError with everything wrong in it."""
    path = Path(path)
    formats = {".yaml": _yaml, ".yml": _yaml, ".toml": _toml, ".json": _json}
    form = formats.get(path.suffix.lower())
    document = Document(None, name=str(path))
    if form is None:
        _fail(document, "a config ends in .yaml, .yml, .toml or .json; see the README")
    form(_text(path, document), document)
    if not document.problems and not isinstance(document.values, dict):
        what = "empty" if document.values is None else type(document.values).__name__
        document.problem((), f"a config is a mapping of keys. Received: {what}")
    document.raise_problems()
    return document


def parse_value(text):
    """A value as YAML writes it, for `--set path=value`."""
    document = Document(None)
    _yaml(text, document)
    document.raise_problems()
    return document.values


def _fail(document, message, line=None, column=None):
    at = (int(line), int(column)) if line else ()
    raise ConfigError([Problem(document.name, at, "", message)])


def _text(path, document):
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        _fail(document, "this is a folder; a config is a file")
    except OSError as error:
        _fail(document, f"cannot be read: {error.strerror}")
    if len(data) > MAX_BYTES:
        _fail(document, f"a config has at most {MAX_BYTES // 1024} KiB; this has more")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _fail(document, "not text in UTF-8; is this the right file?", line, 1)
    if "\0" in text:
        _fail(document, "holds zero bytes, so it is not text; is this the right file?")
    return text


def _toml(text, document):
    try:
        document.values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(
            r" \(at (?:line (\d+), column (\d+)|end of document)\)", str(error)
        )
        message = str(error).replace(found[0], "") if found else str(error)
        end = (text.count("\n") + 1, 1)
        at = found.groups() if found and found[1] else end
        _fail(document, f"not valid TOML: {message}", *at)
    except RecursionError:
        _fail(document, f"nested deeper than {MAX_DEPTH} levels")
    document.keys, document.marks = toml_places(text)
    _check_toml(document, document.values, ())


def _check_toml(document, value, path):
    """TOML has dates, which no config value is."""
    if isinstance(value, dict | list):
        if len(path) > MAX_DEPTH:
            _fail(document, f"nested deeper than {MAX_DEPTH} levels")
        for step, item in (
            value.items() if isinstance(value, dict) else enumerate(value)
        ):
            _check_toml(document, item, (*path, step))
    elif not isinstance(value, str | int | float):
        document.problem(path, f"a date or time is no config value. Received: {value}")


def _json(text, document):
    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    try:
        values = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        _fail(document, f"not valid JSON: {error.msg}", error.lineno, error.colno)
    except RecursionError:
        _fail(document, f"nested deeper than {MAX_DEPTH} levels")
    except ValueError as error:
        _fail(document, f"not valid JSON: {error}")
    # JSON is read as YAML for the places and the duplicate keys. What YAML reads
    # otherwise is replaced by something of equal length first.
    _yaml(text.replace("\t", " ").replace("\\/", "//").replace("\\u", "uu"), document)
    document.values = values


def _yaml(text, document):
    try:
        root = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(filter(None, [error.context, error.problem]))
        _fail(document, f"not valid YAML: {message}", mark.line + 1, mark.column + 1)
    except yaml.YAMLError as error:
        _fail(document, f"not valid YAML: {error}".splitlines()[0])
    except RecursionError:
        _fail(document, f"nested deeper than {MAX_DEPTH} levels")
    if root is not None:
        document.values = _Construct(document).value(root, ())


class _Construct:
    """Turns composed nodes into values, noting places and problems."""

    def __init__(self, document):
        self.document = document
        self.nodes = 0

    def value(self, node, path):
        self.nodes += 1
        at = (node.start_mark.line + 1, node.start_mark.column + 1)
        self.document.marks[path] = at
        # Aliases are expanded, so a few lines can stand for billions of values.
        if self.nodes > MAX_NODES:
            _fail(
                self.document,
                f"more than {MAX_NODES} values once aliases are expanded",
                *at,
            )
        if len(path) > MAX_DEPTH:
            _fail(self.document, f"nested deeper than {MAX_DEPTH} levels", *at)
        name = node.tag.removeprefix("tag:yaml.org,2002:")
        if isinstance(node, yaml.MappingNode) and name == "map":
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and name == "seq":
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and name == "str":
            return node.value
        if isinstance(node, yaml.ScalarNode) and name in _SCALARS:
            pattern, convert = _SCALARS[name]
            if re.fullmatch(pattern, node.value):
                return convert(node.value)
        self.document.problem(
            path,
            f"tags such as {node.tag!r} are refused: a config names registered "
            "parts and plain values",
        )
        return None

    def mapping(self, node, path):
        values = {}
        for key_node, value_node in node.value:
            at = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            scalar = isinstance(key_node, yaml.ScalarNode)
            if not scalar or not key_node.tag.endswith((":str", ":int")):
                self.document.marks.setdefault((*path, "?"), at)
                self.document.problem((*path, "?"), "a key must be text")
                continue
            key = key_node.value
            step = (*path, key)
            if key in values:
                first = self.document.keys[step]
                self.document.keys[step] = at
                self.document.problem(
                    step,
                    f"duplicate key {key!r}, first given in line {first[0]}",
                    key=True,
                )
                continue
            self.document.keys[step] = at
            values[key] = self.value(value_node, step)
        return values
