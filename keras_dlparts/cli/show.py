"""`dlparts show`: what a part's source says of it, read without importing it."""

import json
import re
import textwrap

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
            text = fitted(text, out.width)
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


def fitted(text, width):
    r"""A docstring with its paragraphs in lines of a width.

    Formulas in columns and examples stay as they are.

    >>> print(fitted("Args:\n    a: A long\n        text.\n\n    y  = x  + 1", 14))
    Args:
        a: A long
            text.
    <BLANKLINE>
        y  = x  + 1
    """
    lines = text.splitlines()
    found = []
    while lines:
        block = [lines.pop(0)]
        if block[0].lstrip().startswith(">>>"):  # up to the end of the example
            while lines and lines[0].strip():
                block.append(lines.pop(0))
        if not _is_prose(block[0]):
            found += block
            continue
        first = _indent(block[0])
        # The lines of an argument's text after the first are indented more.
        hanging = _indent(lines[0]) if lines and lines[0].strip() else first
        hanging = max(first, hanging, key=len)
        while lines and _goes_on(lines[0], hanging):
            block.append(lines.pop(0))
        if max(map(len, block)) > width:
            block = textwrap.wrap(
                " ".join(line.strip() for line in block),
                width,
                initial_indent=first,
                subsequent_indent=hanging,
                break_long_words=False,
                break_on_hyphens=False,
            )
        found += block
    return "\n".join(found)


def _is_prose(line):
    """Whether a line may be broken elsewhere: no code, columns, table or heading."""
    text = line.strip()
    code = text.startswith((">>>", "|", "```"))
    columns = re.search(r"\S  +\S", text)
    heading = re.fullmatch(r"[\w ]+:", text)
    return bool(text) and not (code or columns or heading)


def _goes_on(line, indent):
    """Whether a line belongs to the paragraph before it, of that indentation."""
    begins = re.match(r"\s*(\*{0,2}\w+: |[-*] )", line)
    return _is_prose(line) and _indent(line) == indent and not begins


def _indent(line):
    return line[: len(line) - len(line.lstrip())]
