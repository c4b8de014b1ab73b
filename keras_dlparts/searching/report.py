"""A search's folder -> `report.html`: what was tried, what mattered, what was best."""

from pathlib import Path

import yaml

from keras_dlparts.report import page
from keras_dlparts.report.html import (
    duration,
    figure,
    folded,
    framed_table,
    number,
    section,
    text,
)
from keras_dlparts.searching import pictures
from keras_dlparts.searching.importance import importance
from keras_dlparts.searching.table import first_line
from keras_dlparts.searching.view import Search
from keras_dlparts.support.files import write_text

_BEST = 3


def write(path):
    """Write `report.html` into a search's folder; returns its path."""
    search = Search(path)
    target = Path(path) / "report.html"
    write_text(target, _page(search))
    return target


def _page(search):
    rows, said = _importance(search)
    sections = [
        _header(search),
        section("History", _history(search)),
        section("Curves of all trials", _learning(search)),
        section("What mattered", _mattered(rows, said)),
        section("Where the good ones lie", _coordinates(search, rows)),
        section("The best, as changes to the defaults", _best(search)),
        section("Trials", _trials(search)),
        section("Failed trials", _failed(search)),
        section("Config", _config(search)),
        section("Environment", page.environment(search)),
    ]
    name = search.config.get("name") or search.path.name
    return page.document(name, search.state, "".join(sections))


def summary(search):
    """What a notebook shows: the head of the page, the curves, and the best trials."""
    return _header(search) + _learning(search) + _trials(search, _BEST)


def _header(search):
    best = search.best
    tiles = []
    if best is not None:
        tiles.append((f"Best {search.objective}", number(best.score), _of(best)))
    done, count = len(search.completed), len(search.trials)
    asked = search.settings["trials"]
    tiles.append(("Trials", number(count), f"of {asked}" if asked else "of all"))
    tiles.append(("Completed", number(done), f"{len(search.failed)} failed"))
    tiles.append(("Wall time", duration(search.seconds), _workers(search)))
    epochs = sum(t.notes.get("epochs", 0) for t in search.trials)
    tiles.append(("Epochs trained", number(epochs), ""))
    if search.settings["median_rule"]:
        stopped = sum("steps_saved" in t.notes for t in search.trials)
        note = f"by the median rule, in {stopped} trials"
        tiles.append(("Steps saved", number(search.steps_saved), note))
    origin = f"{search.path.name} · {search.settings['algorithm']} search · "
    origin += search.environment["backend"]
    return page.header(
        search.config.get("name") or search.path.name,
        search.state,
        origin,
        search.message,
        tiles,
    )


def _of(trial):
    return f"trial {trial.trial_id}"


def _workers(search):
    count = search.settings["workers"]
    return f"{count} workers" if count > 1 else ""


def _history(search):
    if not search.completed:
        return "<p>No trial was completed.</p>"
    try:
        picture = pictures.both(pictures.history, search)
    except ImportError:
        return page.NO_PICTURES
    title = f"{search.objective} by trial"
    note = "a dot a trial, × a failed one; the line is the best so far"
    return figure(title, note, picture)


def _learning(search):
    if not any(trial.curve for trial in search.trials):
        return ""
    try:
        picture = pictures.both(pictures.learning, search, index=10)
    except ImportError:
        return ""
    note = "a line a trial; the best fifth in the second colour"
    return figure(f"{search.objective} by epoch", note, picture)


def _importance(search):
    try:
        rows, r2 = importance(search)
    except (ImportError, ValueError) as error:
        return [], f"Importance is not shown: {error}."
    said = (
        "A random forest of 64 trees learns the rank of the objective from the values "
        f"of the {len(search.completed)} completed trials. The bar is what is lost of "
        "its R² on the trials that a tree did not see, when a hyperparameter's values "
        "are shuffled among the trials in which it counts; the whisker is the standard "
        f"deviation over 10 shuffles. R² here is {r2:.2f}: "
    )
    said += (
        "the forest explains little, so the bars say little."
        if r2 < 0.3
        else "the part of the ranks that it explains."
    )
    return rows, said


def _mattered(rows, said):
    words = f'<p class="quiet">{text(said)}</p>'
    if not rows:
        return words
    try:
        return words + figure(
            "importance", "", pictures.both(pictures.bars, rows, index=20)
        )
    except ImportError:
        cells = "".join(
            f"<tr><td>{text(n)}</td><td class=n>{v:.3f}</td></tr>" for n, v, _ in rows
        )
        head = "<th>hyperparameter</th><th class=n>importance</th>"
        return words + framed_table("importance", head, cells)


def _coordinates(search, rows):
    if len(search.completed) < 2:
        return ""
    ordered = [row[0] for row in rows] or [space.name for space in search.spaces]
    try:
        picture = pictures.both(pictures.coordinates, search, ordered, index=30)
    except ImportError:
        return ""
    note = "a line a trial; the best fifth in the second colour"
    left = len(search.spaces) - min(pictures.MOST_AXES, len(ordered))
    note += f"; {left} values not drawn" if left > 0 else ""
    return figure("parallel coordinates", note, picture)


def _best(search):
    known = pictures.defaults(search)
    said = ""
    for trial in search.ranked()[:_BEST]:
        lines = []
        for name, value in trial.values.items():
            if name.startswith("tuner/"):
                continue
            if name not in known:
                continue
            if value == known[name]:
                continue
            lines.append(f"- {name}: {_plain(known[name])}")
            lines.append(f"+ {name}: {_plain(value)}")
        lines = lines or ["the defaults"]
        title = f"{_of(trial)}: {search.objective} {number(trial.score)}"
        said += f"<h3>{text(title)}</h3><pre>{text(chr(10).join(lines))}</pre>"
    if search.best_config is not None:
        said += "<p>Train the best again: <code>dlparts train best/config.yaml</code>"
        said += " (in this folder).</p>"
    return said


def _plain(value):
    return yaml.safe_dump(value, default_flow_style=True).splitlines()[0]


def _trials(search, most=None):
    """The table of the trials, or of the best ones, for a notebook, without links."""
    if not search.trials:
        return "<p>No trial was begun.</p>"
    spaces = [space.name for space in search.spaces]
    shared = [n for n in spaces if any(n in t.values for t in search.trials)]
    labels = ("trial", "state", search.objective, "epochs", "time", *shared)
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in labels)
    body = []
    ranked = search.ranked()
    others = [trial for trial in search.trials if trial.status != "COMPLETED"]
    states = {"COMPLETED": "done", "FAILED": "failed", "RUNNING": "not finished"}
    for trial in [*ranked, *others][:most]:
        notes = trial.notes
        link = text(trial.trial_id)
        if most is None and (trial.path / "report.html").exists():
            link = f'<a href="{text(trial.path.name)}/report.html">{link}</a>'
        epochs = f"{notes['epochs']} of {notes['asked']}" if "epochs" in notes else ""
        seconds = duration(notes["seconds"]) if "seconds" in notes else ""
        state = states.get(trial.status, trial.status)
        state = "stopped early" if "steps_saved" in notes else state
        score = number(trial.score) if trial.score is not None else ""
        cells = [link, text(state), score, epochs, seconds]
        cells += [
            text(_cell(trial.values[n])) if n in trial.values else "" for n in shared
        ]
        row = "".join(
            f'<td data-label="{text(label)}">{cell}</td>'
            for label, cell in zip(labels, cells, strict=True)
        )
        body.append(f"<tr>{row}</tr>\n")
    caption = "The best first; an empty cell is a value that did not count"
    return framed_table(caption, head, "".join(body), many=True)


def _cell(value):
    return f"{value:.4g}" if isinstance(value, float) else value


def _failed(search):
    said = ""
    for trial in search.failed:
        reason = trial.notes.get("reason", "it says nothing of why")
        summary = f"{_of(trial)}: {first_line(reason)}"
        path = trial.path / "traceback.txt"
        more = path.read_text(errors="replace") if path.exists() else reason
        said += folded(summary, f"<pre>{text(more)}</pre>")
    return said


def _config(search):
    given = yaml.safe_dump(search.config, sort_keys=False)
    settings = yaml.safe_dump(search.settings, sort_keys=False)
    said = folded("The config with its space", f"<pre>{text(given)}</pre>")
    return said + folded("The settings, resolved", f"<pre>{text(settings)}</pre>")
