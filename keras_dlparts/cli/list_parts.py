"""`dlparts list`: the registered parts, found without importing them."""

import json

from rich.markup import escape
from rich.table import Table

from keras_dlparts import registry, static
from keras_dlparts.cli.arguments import AsJson, Kind
from keras_dlparts.cli.console import err, out


def list_parts(
    kind: Kind = None,
    as_json: AsJson = False,
):
    """The registered parts. Keras' own answer too, and are listed for one kind."""
    if kind is not None and kind not in registry.KINDS:
        raise registry.RegistryError(
            f"unknown kind {kind!r}. The kinds are: {', '.join(registry.KINDS)}"
        )
    parts = registry.parts(kind)
    if as_json:
        rows = [
            {
                "kind": part.kind,
                "name": part.name,
                "distribution": part.distribution,
                "summary": _summary(part),
            }
            for part in parts
        ]
        print(json.dumps(rows, indent=1))
    else:
        for each in registry.KINDS:
            _print_kind(each, [part for part in parts if part.kind == each])
        own = [n[6:] for n in registry.names(kind) if n[:6] == "keras."] if kind else []
        if own:
            out.print(f"[dim]and Keras' own:[/] {', '.join(own)}")
    for problem in registry.problems():
        err.print(f"[yellow]problem:[/] {escape(problem)}", soft_wrap=True)


def _print_kind(kind, parts):
    if not parts:
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for part in parts:
        said = escape(_summary(part))
        if part.vendor != "dlparts":
            said += f" [dim]({escape(part.distribution)})[/]"
        table.add_row(part.name, said)
    out.print(f"[bold]{kind}[/]")
    out.print(table, "", highlight=False)


def _summary(part):
    """The first line of a part's docstring."""
    try:
        return static.summary(part.target)
    except (LookupError, ImportError, OSError, SyntaxError):
        return "(its source cannot be read)"
