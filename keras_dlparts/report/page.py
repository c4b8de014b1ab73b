"""The page: what a run left behind, as one string of HTML."""

import itertools
import statistics

from keras_dlparts.report import curves, parts_figures
from keras_dlparts.report.html import (
    duration,
    figure,
    folded,
    framed_table,
    number,
    pairs,
    section,
    table,
    text,
)
from keras_dlparts.report.style import CSS

NO_PICTURES = (
    '<p class="quiet">The pictures need matplotlib: '
    "<code>pip install keras-dlparts[plot]</code>, then write the report again.</p>"
)
_LEGEND = (
    '<div class="legend" aria-hidden="true"><span><svg viewBox="0 0 29 12"><path '
    'd="M1 6H28" stroke="var(--train)" stroke-width="2" stroke-dasharray="5 2.5"/>'
    '</svg>train</span><span><svg viewBox="0 0 29 12"><path d="M1 6H28" '
    'stroke="var(--val)" stroke-width="2.5"/></svg>validation (val)</span>'
    '<span><svg viewBox="0 0 29 12"><circle cx="14" cy="6" r="4.2" fill="none" '
    'stroke="var(--val)" stroke-width="2"/></svg>best epoch</span></div>'
)
_COSTS = {
    "ms_per_step": "ms a step",
    "seconds": "seconds an epoch",
    "memory_mb": "memory, MB",
    "data_wait_share": "share of time waiting for data",
}
_MOST_ROWS = 200


def page(run, parts):
    """The whole page of a run."""
    name = run.config.get("name") or run.path.name
    sections = [
        _header(run, name),
        section("Learning curves", _learning(run)),
        section("Time and memory", _costs(run)),
        section("Model", _model(run)),
        *(parts_figures.section_of(run, part) for part in parts),
        section("Config", _config(run)),
        section("Environment", environment(run)),
    ]
    return document(name, run.status["state"], "".join(sections))


def document(name, state, sections):
    """A whole HTML document around sections."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Nothing is fetched and no script runs, whatever a name or a message holds.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">\n"
        f"<title>{text(name)} · {text(state)}</title>\n"
        f"<style>{CSS}</style>\n</head>\n<body>\n{sections}</body>\n</html>\n"
    )


def _header(run, name):
    state, message = run.status["state"], run.status.get("message")
    started = str(run.environment.get("started", ""))[:19].replace("T", " ")
    backend = run.environment.get("backend", "")
    origin = " · ".join(filter(None, [run.path.name, started, backend]))
    if state == "running" and not message:
        message = "The training had not ended when this page was written."
    return header(name, state, origin, message, _headline(run))


def header(name, state, origin, message, tiles):
    """The head of a page: its name, its state, what is to be said, and tiles.

    A tile is (label, value, note).
    """
    notice = ""
    if message:
        alert = ' role="alert"' if state == "failed" else ""
        notice = (
            f'<div class="notice {state}"{alert}><strong>{state.capitalize()}</strong>'
            f"<span>{text(message)}</span></div>"
        )
    tiles = "".join(
        f'<div><dt>{_breakable(label)}</dt><dd class="big">{text(value)}</dd>'
        f"<dd><small>{text(note)}</small></dd></div>"
        for label, value, note in tiles
    )
    return (
        f'<header><div class="top"><h1>{text(name)}</h1>'
        f'<span class="state {state}">{state}</span></div>'
        f'<p class="quiet">{text(origin)}</p>{notice}'
        f'<dl class="tiles">{tiles}</dl></header>\n'
    )


def _headline(run):
    """The figures that say most, as (label, value, note)."""
    history, status = run.history, run.status
    best = run.best()
    if best:
        column, row = best
        yield f"Best {column}", number(history[column][row]), f"at epoch {row + 1}"
    for name, train, val in curves.groups(history):
        # The validation figure where there is one, of the epoch that is kept.
        column = val or train
        if name != "loss" and curves.finite(history[column]):
            at_best = history[column][best[1]] if best else float("nan")
            note = f"best epoch {number(at_best)}" if best else ""
            last = curves.finite(history[column])[-1]
            yield f"Final {column}", number(last), note
    done, asked = status.get("epoch"), status.get("epochs")
    if done is not None:
        yield "Epochs", number(done), f"of {asked}" if asked else ""
    if status.get("seconds") is not None:
        yield "Wall time", duration(status["seconds"]), ""
    # The first epoch holds the compilation.
    steps = curves.finite(history.get("ms_per_step", []))
    if steps:
        yield "Time a step", f"{number(statistics.median(steps))} ms", "median epoch"
    memory = curves.finite(history.get("memory_mb", []))
    if memory:
        yield "Peak memory", f"{max(memory):,.0f} MB", ""
    if run.layers:
        total = sum(row.get("parameters") or 0 for row in run.layers)
        yield "Parameters", number(total), f"in {len(run.layers)} layers"


def _breakable(label):
    return text(label).replace("_", "_<wbr>")


def _learning(run):
    history = run.history
    if not history.get("epoch"):
        return "<p>No epoch was finished, so there are no curves.</p>"
    epochs, best = _epochs(history), run.best()
    figures, index = [], 0
    try:
        for name, train, val in curves.groups(history):
            series = [
                (label, history[column])
                for label, column in (("train", train), ("val", val))
                if column and curves.finite(history[column])
            ]
            if not series:
                continue
            ring, note = None, ""
            if best and best[0] in (train, val):
                value = history[best[0]][best[1]]
                ring = (epochs[best[1]], value) if best[0] == val else None
                note = f"best {number(value)} at epoch {epochs[best[1]]}"
            svg = curves.panel(name, epochs, series, ring, index=index)
            figures.append(figure(name, note, svg))
            index += 1
        rates = curves.finite(history.get("learning_rate", []))
        if len(set(rates)) > 1:
            series = [("", history["learning_rate"])]
            svg = curves.panel("learning rate", epochs, series, index=index)
            figures.append(figure("learning rate", "", svg))
        pictures = f'{_LEGEND}<div class="panels">{"".join(figures)}</div>'
    except ImportError:
        pictures = NO_PICTURES
    return pictures + folded(
        "The figures, epoch by epoch", _history(history), pictures == NO_PICTURES
    )


def _epochs(history):
    """The epochs counted from 1, as people and the progress bar count them."""
    return list(range(1, len(history["epoch"]) + 1))


def _history(history):
    count = len(history["epoch"])
    every = -(-count // _MOST_ROWS)
    rows = [i for i in range(count) if i % every == 0 or i == count - 1]
    caption = f"{count} epochs" + (f", every {every}th shown" if every > 1 else "")
    columns = {**history, "epoch": _epochs(history)}
    return table([{c: v[i] for c, v in columns.items()} for i in rows], caption)


def _costs(run):
    history, figures = run.history, []
    try:
        for index, (column, title) in enumerate(_COSTS.items(), 100):
            if curves.finite(history.get(column, [])):
                svg = curves.panel(
                    title,
                    _epochs(history),
                    [("", history[column])],
                    from_zero=True,
                    index=index,
                )
                figures.append(figure(title, "", svg))
    except ImportError:
        return ""
    return f'<div class="panels">{"".join(figures)}</div>' if figures else ""


def _model(run):
    rows = run.layers
    if not rows:
        return "<p>The model was never built.</p>"
    counts = [row.get("parameters") or 0 for row in rows]
    total, largest = sum(counts), max(*counts, 1)
    # A chain needs no column for where a layer's input comes from.
    branches = any(
        row.get("from") and row["from"] != [before["name"]]
        for before, row in itertools.pairwise(rows)
    )
    trained = [_trained(row) for row in rows]
    frozen = trained != counts
    head = '<th scope="col">Layer</th><th scope="col">Class</th>'
    head += '<th scope="col">From</th>' if branches else ""
    head += '<th scope="col">Output shape</th>'
    head += '<th scope="col" class="n">Trainable</th>' if frozen else ""
    head += '<th scope="col" class="n">Parameters</th>'
    body = []
    for row, count, own in zip(rows, counts, trained, strict=True):
        cells = f'<th scope="row">{text(row["name"])}</th><td>{text(row["class"])}</td>'
        if branches:
            cells += f"<td>{text(', '.join(map(str, row.get('from') or [])))}</td>"
        cells += f"<td>{text(_shape(row.get('output_shape')))}</td>"
        if frozen:
            cells += f'<td class="n">{number(own)}</td>'
        share = f' style="--share:{100 * count / largest:.1f}%"' if count else ""
        cells += f'<td class="n share"{share}>{number(count)}</td>'
        body.append(f"<tr>{cells}</tr>\n")
    foot = f'<tr><th scope="row" colspan="{3 + branches}">Total</th>'
    foot += f'<td class="n">{number(sum(trained))}</td>' if frozen else ""
    foot += f'<td class="n">{number(total)}</td></tr>'
    caption = "The layers, from the input on; the tint is a layer's share of parameters"
    return framed_table(caption, head, "".join(body), foot)


def _trained(row):
    """How many of a layer's parameters are trained; a row may say so by a bool."""
    count, trainable = row.get("parameters") or 0, row.get("trainable", True)
    return count * trainable if isinstance(trainable, bool) else trainable or 0


def _shape(shape):
    """[null, 64] -> "(None, 64)", as Keras writes it; several shapes in a row."""
    if isinstance(shape, dict):
        return ", ".join(f"{key}: {_shape(value)}" for key, value in shape.items())
    if isinstance(shape, list) and any(isinstance(s, list | dict) for s in shape):
        return ", ".join(map(_shape, shape))
    return str(tuple(shape)) if isinstance(shape, list) else str(shape or "?")


def _config(run):
    said = (
        '<p class="quiet">The resolved config has every default written out. Training '
        "from it on the same machine and versions repeats the run.</p>"
    )
    for path in [*sorted(run.path.glob("config.*")), run.path / "resolved.yaml"]:
        if path.is_file():
            given = path.read_text("utf-8", errors="replace")
            label = "Resolved" if path.name == "resolved.yaml" else "As given"
            said += folded(f"{label} ({path.name})", f"<pre>{text(given)}</pre>")
    return said


def environment(run):
    e = run.environment
    accelerators = e.get("accelerators")
    known = {
        "Started": e.get("started"),
        "Backend": e.get("backend"),
        "Python": e.get("python"),
        "Platform": e.get("platform"),
        "Cores": e.get("cpu_count"),
        "Memory": f"{e['memory_gb']:.4g} GB" if e.get("memory_gb") else None,
        "Accelerators": ", ".join(map(str, accelerators)) if accelerators else "none",
        "Command": e.get("command"),
    }
    versions = [
        {"distribution": name, "version": str(version)}
        for name, version in sorted((e.get("versions") or {}).items())
    ]
    shown = folded("Versions", table(versions, "Versions")) if versions else ""
    return pairs(known.items()) + shown
