"""`dlparts compare`: runs beside each other, in a table and on one page."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from keras_dlparts.cli.arguments import AsJson
from keras_dlparts.cli.console import out, stop


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Two run directories or more.", metavar="RUN")
    ],
    page: Annotated[
        Path, typer.Option("--out", help="The page to write.", dir_okay=False)
    ] = Path("comparison.html"),
    as_json: AsJson = False,
):
    """Compare runs: what differs in their configs, and their curves on one page."""
    from keras_dlparts.comparing import Comparison, shown
    from keras_dlparts.report.html import duration, number

    try:
        compared = Comparison(runs)
    except ValueError as error:
        stop(2, str(error))
    if as_json:
        print(json.dumps(compared.changed, indent=1, default=str))
        return
    # A run a row, so that any number of runs and of changed values fits the width.
    table = Table("run", "state", "best", "time", box=None, pad_edge=False)
    for row in compared.records():
        best = f"{row['monitor']} {number(row['best'])} at {row['best_epoch']}"
        table.add_row(
            escape(row["name"]),
            row["state"],
            best if row["monitor"] else "",
            "" if row["seconds"] is None else duration(row["seconds"]),
        )
    out.print(table, highlight=False)
    if not compared.changed:
        out.print("\ntheir configs are the same")
    for path, values in compared.changed.items():
        out.print(f"\n[bold]{escape(path)}[/]", highlight=False)
        for name, value in zip(compared.names, values, strict=True):
            out.print(f"  {escape(name)}  {escape(shown(value))}", highlight=False)
    out.print(f"\npage  {compared.write(page)}", soft_wrap=True, highlight=False)
