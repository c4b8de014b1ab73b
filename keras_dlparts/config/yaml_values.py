"""A YAML text -> a Document: YAML 1.2's core scalars, no tags, text keys only."""

import re

import yaml

from keras_dlparts.config.document import MAX_DEPTH, MAX_VALUES
from keras_dlparts.config.syntax import (
    fail,
    invalid,
    place,
    refuse_long_numbers,
    repeated,
)


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


def read_yaml(text, document):
    """Fill a document from a YAML text."""
    refuse_long_numbers(text, document)
    try:
        root = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(filter(None, [error.context, error.problem]))
        if error.context_mark and error.context_mark.line != mark.line:
            message += f" (it begins in line {error.context_mark.line + 1})"
        invalid(document, "YAML", message, mark.line + 1, mark.column + 1)
    except yaml.reader.ReaderError as error:
        at = place(text, error.position)
        invalid(document, "YAML", str(error).splitlines()[0], *at)
    except RecursionError:
        fail(document, f"nested deeper than {MAX_DEPTH} levels")
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
        if self.nodes > MAX_VALUES:
            message = f"more than {MAX_VALUES} values once aliases are expanded"
            fail(self.document, message, *at)
        if len(path) > MAX_DEPTH:
            fail(self.document, f"nested deeper than {MAX_DEPTH} levels", *at)
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
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        self.document.problem(
            path,
            f"tags such as {tag!r} are refused: a config names registered parts and "
            "plain values",
        )
        return None

    def mapping(self, node, path):
        values = {}
        for key_node, value_node in node.value:
            at = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            plain = isinstance(key_node, yaml.ScalarNode)
            key = key_node.value if plain else "?"
            step = (*path, key)
            if key == "<<":
                self.refuse(step, at, "write the keys out; `<<` is not YAML 1.2")
            elif not plain or not key_node.tag.endswith((":str", ":int")):
                self.refuse(step, at, "a key must be text; put it in quotes")
            elif key in values:
                repeated(self.document, step, at)
            else:
                self.document.keys[step] = at
                values[key] = self.value(value_node, step)
        return values

    def refuse(self, path, at, message):
        self.document.keys[path] = at
        self.document.problem(path, message, key=True)
