"""The pictures of a search's report: its history, and parallel coordinates."""

import io
import math

from keras_dlparts.config.searched import default_of
from keras_dlparts.report import curves
from keras_dlparts.report.html import number
from keras_dlparts.searching.importance import options_of, place

MOST_AXES = 7
_INCH = 72


def history(search, index=0):
    """The objective of each trial in the order of their ids, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    scored = [(i, t) for i, t in enumerate(search.trials) if t.score is not None]
    seen, best = [], []
    for _, trial in scored:
        seen.append(trial.score)
        best.append(max(seen) if search.maximise else min(seen))
    failed = [i for i, t in enumerate(search.trials) if t.status == "FAILED"]

    def draw(axes):
        at = [i for i, _ in scored]
        axes.plot(at, seen, "o", color=curves.TRAIN, markersize=5, mew=0)
        axes.step(at, best, where="post", color=curves.VAL, linewidth=2)
        low = min(seen)
        if failed:
            axes.plot(failed, [low] * len(failed), "x", color=curves.MUTED, ms=5)
        if curves.asks_for_log(search.objective, seen):
            axes.set_yscale("log")
        axes.set_xlabel("trial", color=curves.MUTED)
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
        axes.margins(x=0.03)

    words = (
        f"{search.objective} of {len(seen)} trials, the best so far going from "
        f"{number(best[0])} to {number(best[-1])}; {len(failed)} failed"
    )
    return _svg(draw, words, index, (940, 260))


def coordinates(search, names, index=0):
    """A line a trial across an axis for each named value, ending at the objective."""
    spaces = [space for space in search.spaces if space.name in names][:MOST_AXES]
    trials = search.ranked()
    scores = [trial.score for trial in trials]
    low, high = min(scores), max(scores)

    def note(axes, x, height, label):
        ground = {"facecolor": curves.PAPER, "edgecolor": "none", "alpha": 0.85}
        axes.text(
            x + 0.03,
            height,
            label,
            color=curves.MUTED,
            fontsize=10,
            va="center",
            bbox={**ground, "pad": 1},
        )

    def draw(axes):
        width = len(spaces)
        for rank in range(len(trials) - 1, -1, -1):  # the best lie on top
            trial = trials[rank]
            xs, ys = [], []
            for i, space in enumerate(spaces):
                if space.name in trial.values:
                    xs.append(i)
                    ys.append(_height(space.spec, trial.values[space.name], rank))
            xs.append(width)
            ys.append((trial.score - low) / (high - low) if high > low else 0.5)
            good = rank < max(1, len(trials) // 5)
            axes.plot(
                xs,
                ys,
                color=curves.VAL if good else curves.TRAIN,
                linewidth=1.8 if good else 1,
                alpha=0.95 if good else 0.3,
                marker="o",
                markersize=3,
            )
        for i, space in enumerate(spaces):
            axes.axvline(i, color=curves.RULE, linewidth=0.8, zorder=0)
            for height, label in _ticks(space.spec):
                note(axes, i, height, label)
        axes.axvline(width, color=curves.MUTED, linewidth=0.8, zorder=0)
        for height, value in ((0, low), (1, high)):
            note(axes, width, height, number(value))
        axes.set_xlim(-0.1, width + 0.3)
        axes.set_ylim(-0.06, 1.06)
        axes.set_yticks([])
        axes.grid(False)
        labels = [_wrapped(space.name) for space in spaces]
        axes.set_xticks(range(width + 1), [*labels, search.objective], fontsize=10)

    words = (
        f"{len(trials)} trials as lines over {', '.join(s.name for s in spaces)} and "
        f"{search.objective}; the best fifth is drawn in the second colour"
    )
    return _svg(draw, words, index, (940, 340))


def bars(rows, index=0):
    """Importances as bars, with their deviations."""

    def draw(axes):
        names = [row[0] for row in rows][::-1]
        values = [row[1] for row in rows][::-1]
        axes.barh(names, values, color=curves.TRAIN, height=0.6)
        axes.errorbar(
            values,
            range(len(names)),
            xerr=[row[2] for row in rows][::-1],
            fmt="none",
            ecolor=curves.MUTED,
            elinewidth=1,
        )
        axes.axvline(0, color=curves.MUTED, linewidth=0.8)
        axes.grid(False)
        axes.grid(True, axis="x")

    words = "importance: " + ", ".join(f"{name} {value:.2f}" for name, value, _ in rows)
    return _svg(draw, words, index, (940, 60 + 26 * len(rows)))


def _height(spec, value, rank):
    if spec["search"] in ("int", "float"):
        return place(spec, value)
    options = options_of(spec)
    # A little apart, so that lines with the same choice can be told apart.
    spread = 0.02 * math.sin(7 * rank)
    return options.index(value) / max(1, len(options) - 1) + spread


def _ticks(spec):
    if spec["search"] in ("int", "float"):
        return [(0, number(spec["min"])), (1, number(spec["max"]))]
    options = options_of(spec)
    step = max(1, len(options) - 1)
    return [(i / step, _short(option)) for i, option in enumerate(options)]


def _short(value, width=13):
    text = str(value)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _wrapped(name, width=15):
    """A path on several lines, broken before its dots and brackets."""
    lines, line = [], ""
    for piece in name.replace("[", "\0[").replace(".", "\0.").split("\0"):
        if line and len(line) + len(piece) > width:
            lines.append(line)
            line = ""
        line += piece
    return "\n".join([*lines, line])


def defaults(search):
    """{name: the default} of every searched value."""
    return {
        space.name: options_of(space.spec)[default_of(space.name, space.spec)]
        if space.spec["search"] == "one_of"
        else default_of(space.name, space.spec)
        for space in search.spaces
    }


def _svg(draw, words, index, size):
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", curves.STYLE]):
        figure = Figure(figsize=(size[0] / _INCH, size[1] / _INCH))
        axes = figure.add_subplot()
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, bbox_inches="tight")
    return curves.inline(file.getvalue(), words, index)
