"""Runs beside each other on one page: what differs, their curves, their machines."""

import math
from pathlib import Path

from keras_dlparts.comparing import shown
from keras_dlparts.report import curves, page
from keras_dlparts.report.html import (
    MANY,
    duration,
    figure,
    framed_table,
    number,
    section,
    text,
)
from keras_dlparts.support.files import whole

_DASHES = ("-", (0, (4, 1.6)), (0, (1, 1.3)))


def write(comparison, path):
    """Write a `Comparison` as a page; returns its path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(target) as partial:
        partial.write_text(
            document(comparison), encoding="utf-8", errors="backslashreplace"
        )
    return target


def document(comparison):
    """The page of a `Comparison`, as one string of HTML."""
    title = f"{len(comparison.runs)} runs compared"
    sections = [
        f"<header><h1>{text(title)}</h1></header>",
        section("Runs", table_of_runs(comparison.records())),
        section("What differs", changes(comparison)),
        section("Curves", learning(comparison)),
        section("Environments", _environments(comparison)),
    ]
    return page.document(title, ", ".join(comparison.names), "".join(sections))


def colour(index):
    """The stand-in colour of a run in the pictures."""
    return curves.HUE[index % len(curves.HUE)]


def table_of_runs(records, changed=()):
    """A table with a row a run, and its values of what is changed."""
    keys = dict.fromkeys(key for record in records for key in record)
    tests = [key for key in keys if key.startswith("test_")]
    labels = ("Run", "State", "Best", "Epochs", "Time", *tests, *changed)
    many = len(labels) > MANY
    rows = []
    for record in records:
        best = ""
        if record["monitor"]:
            best = f"{record['monitor']} {number(record['best'])}"
            best += f" at epoch {record['best_epoch']}"
        seconds, state = record["seconds"], record["state"]
        cells = [
            best,
            str(record["epoch"] or ""),
            "" if seconds is None else duration(seconds),
            *(number(record[key]) if key in record else "" for key in tests),
            *(shown(record[key]) for key in changed),
        ]
        row = f'<th scope="row">{text(record["name"])}</th>'
        row += f'<td data-label="State"><span class="{state}">{state}</span></td>'
        for label, cell in zip(labels[2:], cells, strict=True):
            row += f'<td data-label="{text(label)}">{text(cell)}</td>'
        rows.append(f"<tr>{row}</tr>\n")
    head = "".join(f'<th scope="col">{text(label)}</th>' for label in labels)
    return framed_table("A row a run", head, "".join(rows), many=many)


def changes(comparison):
    """A table with a row for each path of the configs that differs."""
    if not comparison.changed:
        return "<p>The configs are the same.</p>"
    names = comparison.names
    rows = []
    for path, values in comparison.changed.items():
        row = f'<th scope="row">{text(path)}</th>'
        for name, value in zip(names, values, strict=True):
            cell = text(shown(value))
            # What is as in the first run stands back.
            cell = cell if repr(value) == repr(values[0]) else f"<mark>{cell}</mark>"
            row += f'<td data-label="{text(name)}">{cell}</td>'
        rows.append(f"<tr>{row}</tr>\n")
    head = "".join(f'<th scope="col">{text(n)}</th>' for n in ("Config", *names))
    caption = (
        "Marked: what is not as in the first run; – where a config has no such key"
    )
    # The names of runs are long: on a phone two columns of them have no room.
    return framed_table(caption, head, "".join(rows), many=True)


def learning(comparison):
    """The curves of all runs, a picture for each column of their histories."""
    runs = comparison.runs
    length = max((len(run.history.get("epoch", ())) for run in runs), default=0)
    if not length:
        return "<p>No epoch was finished, so there are no curves.</p>"
    columns = [
        column
        for name, *_ in curves.groups(_columns(runs))
        for column in (f"val_{name}", name)
        if any(curves.finite(run.history.get(column, ())) for run in runs)
    ]
    figures = []
    try:
        for index, column in enumerate(columns):
            lines = []
            for i, (run, name) in enumerate(zip(runs, comparison.names, strict=True)):
                values = [*run.history.get(column, ())]
                values += [math.nan] * (length - len(values))
                dash = _DASHES[i // len(curves.HUE) % len(_DASHES)]
                lines.append((name, values, colour(i), {"linestyle": dash}))
            svg = curves.overlay(column, [*range(1, length + 1)], lines, index)
            figures.append(figure(column, "", svg))
    except ImportError:
        return page.NO_PICTURES
    legend = "".join(
        f'<span><svg class="swatch" viewBox="0 0 10 3"><path d="M0 1.5H10" '
        f'stroke="{curves.VARIABLES[colour(i)]}" stroke-width="3"/></svg>'
        f"{text(name)}</span>"
        for i, name in enumerate(comparison.names)
    )
    return (
        f'<div class="legend" aria-hidden="true">{legend}</div>'
        f'<div class="panels">{"".join(figures)}</div>'
    )


def _columns(runs):
    return dict.fromkeys(column for run in runs for column in run.history)


def _environments(comparison):
    """What is not the same in the environments, a row a fact."""
    found = []
    for run in comparison.runs:
        try:
            found.append(page.facts(run.environment))
        except (OSError, ValueError):  # a run without it is compared all the same
            found.append({})
    labels = dict.fromkeys(label for facts in found for label in facts)
    rows = []
    for label in labels:
        values = [facts.get(label) for facts in found]
        if len({*map(str, values)}) > 1:
            cells = "".join(
                f'<td class="wrap" data-label="{text(name)}">{text(shown(value))}</td>'
                for name, value in zip(comparison.names, values, strict=True)
            )
            rows.append(f'<tr><th scope="row">{text(label)}</th>{cells}</tr>\n')
    if not rows:
        return "<p>The runs say the same of their environments.</p>"
    head = "".join(
        f'<th scope="col">{text(name)}</th>' for name in ("Fact", *comparison.names)
    )
    return framed_table("What is not the same", head, "".join(rows), many=True)
