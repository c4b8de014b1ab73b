"""`dlparts schema`: the JSON Schema of configs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from keras_dlparts.cli.console import out
from keras_dlparts.support.files import whole

SCHEMA_FILE = "dlparts.schema.json"
# The first line of a config beside the schema: YAML extensions of editors read it.
HEAD = f"# yaml-language-server: $schema={SCHEMA_FILE}"


def schema(
    path: Annotated[
        Path | None, typer.Argument(help="Where to write it; else it is printed.")
    ] = None,
):
    """The JSON Schema of configs, by which editors complete and check them."""
    if path is None:
        print(_text())
        return
    write_schema(path)
    out.print(f"wrote   {path}", soft_wrap=True, highlight=False)
    line = HEAD.replace(SCHEMA_FILE, path.name)
    out.print(
        f"a config beside it begins with   {line}", soft_wrap=True, highlight=False
    )


def write_schema(path):
    """Write the schema of the installed parts into a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        partial.write_text(_text())


def _text():
    from keras_dlparts.config.json_schema import json_schema

    return json.dumps(json_schema(), separators=(",", ":"))
