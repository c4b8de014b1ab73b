"""The page: what a run left behind, as one string of HTML."""

import importlib.util
import itertools
import statistics

from keras_dlparts.report import curves, model_graph, parts_figures
from keras_dlparts.report.html import (
    MANY,
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
from keras_dlparts.report.script import HASH, SCRIPT
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
    sections = [
        head(run),
        section("Learning curves", learning(run) + _figures(run)),
        section("Evaluation", _evaluation(run)),
        section("Time and memory", _costs(run)),
        section("Model", _model(run)),
        *(parts_figures.section_of(run, part) for part in parts),
        section("Config", _config(run)),
        section("Environment", environment(run)),
    ]
    return document(_name(run), run.status["state"], "".join(sections))


def _name(run):
    return run.config.get("name") or run.path.name


def document(name, state, sections):
    """A whole HTML document around sections."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Nothing is fetched and no script but ours runs, whatever a name holds.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{HASH}'\">\n"
        f"<title>{text(name)} · {text(state)}</title>\n"
        f"<style>{CSS}</style>\n</head>\n<body>\n{sections}"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def head(run):
    """The head of a run's page: its name, how it stands, and what says most."""
    state, message = run.status["state"], run.status.get("message")
    started = str(run.environment.get("started", ""))[:19].replace("T", " ")
    backend = run.environment.get("backend", "")
    origin = " · ".join(filter(None, [run.path.name, started, backend]))
    if state == "running" and not message:
        message = "The training had not ended when this page was written."
    return header(_name(run), state, origin, message, _headline(run))


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
    for name, value in run.evaluation.get("test", {}).get("metrics", {}).items():
        yield f"Test {name}", number(value), f"weights of {_evaluated(run, 'test')}"
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


def learning(run):
    """The curves of a run's losses and metrics."""
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
    except ImportError:
        return NO_PICTURES
    return f'{_LEGEND}<div class="panels">{"".join(figures)}</div>'


def _figures(run):
    """The history as a table, unfolded where there are no pictures of it."""
    if not run.history.get("epoch"):
        return ""
    opened = importlib.util.find_spec("matplotlib") is None
    return folded("The figures, epoch by epoch", _history(run.history), opened)


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


def _evaluation(run):
    """What `dlparts evaluate` measured, a row for each split."""
    rows = [
        {"split": split, "weights": _evaluated(run, split), **found["metrics"]}
        for split, found in run.evaluation.items()
    ]
    said = (
        '<p class="quiet">Measured on the kept weights by <code>dlparts evaluate'
        "</code>, when it was asked for. Choose among runs by the validation data: "
        "what was chosen by the test data is no longer tested by it.</p>"
    )
    return said + table(rows, "Metrics of a split") if rows else ""


def _evaluated(run, split):
    """Whose weights were evaluated; the run may have gone on and kept others since."""
    epoch, best = run.evaluation[split].get("epoch"), run.best()
    if epoch is None:
        return "an unknown epoch"
    since = best is not None and best[1] + 1 != epoch
    return f"epoch {epoch}" + (", not those kept now" if since else "")


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
    many = 4 + branches + frozen > MANY

    def cell(label, shown, more=""):
        label = f' data-label="{label}"' if many else ""
        return f"<td{label}{more}>{shown}</td>"

    for row, count, own in zip(rows, counts, trained, strict=True):
        cells = f'<th scope="row">{text(row["name"])}</th>'
        cells += cell("Class", text(row["class"]))
        if branches:
            cells += cell("From", text(", ".join(map(str, row.get("from") or []))))
        cells += cell("Output shape", text(_shape(row.get("output_shape"))))
        if frozen:
            cells += cell("Trainable", number(own), ' class="n"')
        share = f' style="--share:{100 * count / largest:.1f}%"' if count else ""
        cells += cell("Parameters", number(count), f' class="n share"{share}')
        body.append(f"<tr>{cells}</tr>\n")
    foot = f'<tr><th scope="row" colspan="{3 + branches}">Total</th>'
    foot += cell("Trainable", number(sum(trained)), ' class="n"') if frozen else ""
    foot += cell("Parameters", number(total), ' class="n"') + "</tr>"
    caption = "The layers, from the input on; the tint is a layer's share of parameters"
    listed = framed_table(caption, head, "".join(body), foot, many)
    drawing = model_graph.draw(rows) if branches else ""
    if not drawing:
        return listed
    drawn = f'<div class="graph" tabindex="0">{drawing}</div>'
    return f'<div class="beside">{figure("graph", "", drawn)}{listed}</div>'


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
        "from it on the same machine and versions repeats the run"
    )
    given = "object" in (run.config.get("data") or {})
    said += ", with the data given to it again.</p>" if given else ".</p>"
    for path in [*sorted(run.path.glob("config.*")), run.path / "resolved.yaml"]:
        if path.is_file():
            given = path.read_text("utf-8", errors="replace")
            label = "Resolved" if path.name == "resolved.yaml" else "As given"
            said += folded(f"{label} ({path.name})", f"<pre>{text(given)}</pre>")
    return said


def _code(git):
    """Where the code stood, in words."""
    if not git.get("commit"):
        return None
    said = f"commit {git['commit'][:12]}"
    said += f" on {git['branch']}" if git.get("branch") else ""
    if not git.get("changed"):
        return said + ", no uncommitted changes"
    kept = f" (in {git['diff']})" if git.get("diff") else ""
    return f"{said}, with uncommitted changes{kept}"


def facts(e):
    """What environment.json says, as {label: value}; None for what it lacks."""
    accelerators = e.get("accelerators")
    return {
        "Started": e.get("started"),
        "Backend": e.get("backend"),
        "Python": e.get("python"),
        "Platform": e.get("platform"),
        "Cores": e.get("cpu_count"),
        "Memory": f"{e['memory_gb']:.4g} GB" if e.get("memory_gb") else None,
        "Accelerators": ", ".join(map(str, accelerators)) if accelerators else "none",
        "Command": e.get("command"),
        "Code": _code(e.get("git") or {}),
    }


def environment(run):
    """The environment of a run or a search."""
    versions = [
        {"distribution": name, "version": str(version)}
        for name, version in sorted((run.environment.get("versions") or {}).items())
    ]
    shown = folded("Versions", table(versions, "Versions")) if versions else ""
    return pairs(facts(run.environment).items()) + shown
