"""`dlparts runs`: the runs under a folder, how they went and in what they differ."""

import collections
import json
import math
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from keras_dlparts.cli.arguments import AsJson
from keras_dlparts.cli.console import err, out

_STYLES = {"failed": "red", "killed": "red", "stopped": "yellow", "running": "cyan"}
_MOST_VALUES = 6
# A narrower terminal has no room for the columns of the table.
_LEAST_WIDTH = 60


def runs(
    folder: Annotated[
        Path, typer.Argument(help="The folder that holds the runs.", metavar="DIR")
    ] = Path("runs"),
    as_json: AsJson = False,
):
    """The runs under a folder: state, best value, time, and in what they differ."""
    from keras_dlparts.comparing import Runs

    found = Runs(folder)
    if as_json:
        rows = [
            {key: None if value != value else value for key, value in row.items()}
            for row in found.records()
        ]
        print(json.dumps(rows, indent=1, default=str))
    elif found:
        _print(found)
    elif not found.broken:
        err.print(
            f"no runs under {escape(str(folder))}. `dlparts train CONFIG` writes them "
            "into 'runs', or where its --out says",
            soft_wrap=True,
        )
    for path, reason in found.broken.items():
        err.print(
            f"[yellow]{escape(str(path))} is left out:[/] {escape(reason)}",
            soft_wrap=True,
        )


def _print(found):
    from keras_dlparts.comparing import shown, unusual
    from keras_dlparts.report.html import duration

    records = found.records()
    differing = unusual(found.changed(), len(found))
    monitors = collections.Counter(row["monitor"] for row in records if row["monitor"])
    usual = monitors.most_common(1)[0][0] if monitors else "value"
    narrow = out.width < _LEAST_WIDTH
    rows = []
    for row, differs in zip(records, differing, strict=True):
        said = [f"{path}={shown(value)}" for path, value in differs.items()]
        if len(said) > _MOST_VALUES:
            said[_MOST_VALUES - 1 :] = [f"and {len(said) - _MOST_VALUES + 1} more"]
        state = row["state"]
        cells = (
            escape(row["name"]),
            f"[{_STYLES[state]}]{state}[/]" if state in _STYLES else state,
            _best(row, None if narrow else usual),
            "" if row["seconds"] is None else duration(row["seconds"]),
            escape(" ".join(said)),
        )
        rows.append(cells)
    if narrow:
        _print_blocks(rows)
    else:
        _print_table(rows, usual)


def _print_table(rows, usual):
    table = Table(box=None, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column(f"best {usual}", overflow="fold", min_width=8)
    table.add_column("time", overflow="fold")
    table.add_column("differs in", overflow="fold", ratio=1)
    for row in rows:
        table.add_row(*row)
    out.print(table, highlight=False)


def _print_blocks(rows):
    """Print up to three lines a run. The terminal wraps them, and nothing is cut."""
    for name, state, best, time, differs in rows:
        went = [state, f"best {best}" if best else "", time]
        out.print(name, highlight=False, soft_wrap=True)
        for line in filter(None, (", ".join(filter(None, went)), differs)):
            out.print(f"  {line}", highlight=False, soft_wrap=True)


def _best(row, usual):
    if math.isnan(row["best"]):
        return ""
    from keras_dlparts.report.html import number

    said = f"{number(row['best'])} at {row['best_epoch']}"
    return said if row["monitor"] == usual else f"{row['monitor']} {said}"
