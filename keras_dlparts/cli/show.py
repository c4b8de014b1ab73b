"""`dlparts show`: what a part's source says of it, read without importing it."""

import json

from rich.markup import escape
from rich.table import Table

from keras_dlparts import registry, static
from keras_dlparts.cli.arguments import AsJson, PartName
from keras_dlparts.cli.console import out


def show(name: PartName, as_json: AsJson = False):
    """What a part is: formula, paper, arguments with defaults, who provides it."""
    found = [(part, _described(part)) for part in registry.find_any(name)]
    if as_json:
        rows = [
            {
                "kind": part.kind,
                "name": part.name,
                "distribution": part.distribution,
                "target": part.target,
                "formula": about.module_doc,
                "doc": about.doc,
                "arguments": dict(about.arguments),
                "types": {one.name: one.annotation for one in about.parameters},
            }
            for part, about in found
        ]
        print(json.dumps(rows, indent=1))
        return
    for part, about in found:
        out.print(f"[bold]{part.name}[/]  [dim]{part.kind}, {part.distribution}[/]\n")
        for text in filter(None, (about.module_doc, about.doc)):
            out.print(f"{escape(text)}\n", highlight=False, soft_wrap=True)
        if about.arguments:
            table = Table("argument", "default", "type", box=None, pad_edge=False)
            for one in about.parameters:
                row = (one.name, one.default or "required", one.annotation or "")
                table.add_row(*map(escape, row))
            out.print(table, "")


def _described(part):
    try:
        return static.describe(part.target)
    except (LookupError, ImportError, OSError, SyntaxError) as error:
        raise registry.RegistryError(
            f"{part.name} is provided by {part.distribution}, whose source cannot be "
            f"read: {error}"
        ) from error
