"""The pictures of a search's report.

Each is drawn twice: as wide as the page, and for a phone, where the letters of the wide
one could not be read. The style sheet shows the one that fits.
"""

import io
import math

from keras_dlparts.config.searched import default_of
from keras_dlparts.report import curves
from keras_dlparts.report.html import number
from keras_dlparts.searching.importance import options_of, place

MOST_AXES = 7
_MOST_AXES_NARROW = 2
_INCH = 72
_WIDE, _NARROW = 940, 350
_ALL_CURVES = 60  # of more trials the best and an even choice of the others are drawn


def both(draw, *given, index=0):
    """A picture for a wide and for a narrow page: `draw(..., index, width)` twice."""
    return (
        f'<div class="wide">{draw(*given, index, _WIDE)}</div>'
        f'<div class="narrow">{draw(*given, index + 1, _NARROW)}</div>'
    )


def learning(search, index=0, width=_WIDE):
    """The objective of every trial by epoch; the best fifth in the second colour."""
    ranked = [trial for trial in search.ranked() if trial.curve]
    others = [t for t in search.trials if t.curve and t.status != "COMPLETED"]
    good = {trial.trial_id for trial in ranked[: max(1, len(ranked) // 5)]}
    trials = [*ranked, *others]
    if len(trials) > _ALL_CURVES:
        every = -(-len(trials) // _ALL_CURVES)
        trials = [
            t for i, t in enumerate(trials) if t.trial_id in good or not i % every
        ]
    at = sorted({epoch for trial in trials for epoch, _ in trial.curve})
    lines = []
    for trial in reversed(trials):  # the best lie on top
        values = dict(trial.curve)
        is_good = trial.trial_id in good
        options = {"linewidth": 1.8 if is_good else 1, "alpha": 1 if is_good else 0.4}
        lines.append(
            (
                f"trial {trial.trial_id}",
                [values.get(epoch) for epoch in at],
                curves.VAL if is_good else curves.TRAIN,
                options | {"markersize": 2.5},
            )
        )
    size = (width, 300 if width == _WIDE else 240)
    return curves.overlay(search.objective, at, lines, index, size)


def history(search, index=0, width=_WIDE):
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
        axes.xaxis.set_major_locator(
            MaxNLocator(width // 80, integer=True, min_n_ticks=1)
        )
        axes.margins(x=0.03)

    words = (
        f"{search.objective} of {len(seen)} trials, the best so far going from "
        f"{number(best[0])} to {number(best[-1])}; {len(failed)} failed"
    )
    at = [i for i, _ in scored]
    lines = [(search.objective, seen, curves.TRAIN), ("best so far", best, curves.VAL)]
    return _svg(draw, words, index, (width, 260), (at, lines, "trial"))


def coordinates(search, names, index=0, width=_WIDE):
    """A line a trial across an axis for each named value, ending at the objective."""
    most = MOST_AXES if width == _WIDE else _MOST_AXES_NARROW
    spaces = [space for space in search.spaces if space.name in names[:most]]
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
        last = len(spaces)
        for rank in range(len(trials) - 1, -1, -1):  # the best lie on top
            trial = trials[rank]
            xs, ys = [], []
            for i, space in enumerate(spaces):
                if space.name in trial.values:
                    xs.append(i)
                    ys.append(_height(space.spec, trial.values[space.name], rank))
            xs.append(last)
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
        axes.axvline(last, color=curves.MUTED, linewidth=0.8, zorder=0)
        for height, value in ((0, low), (1, high)):
            note(axes, last, height, number(value))
        axes.set_xlim(-0.1, last + 0.3)
        axes.set_ylim(-0.06, 1.06)
        axes.set_yticks([])
        axes.grid(False)
        labels = [_wrapped(space.name) for space in spaces]
        axes.set_xticks(range(last + 1), [*labels, search.objective], fontsize=10)

    words = (
        f"{len(trials)} trials as lines over {', '.join(s.name for s in spaces)} and "
        f"{search.objective}; the best fifth is drawn in the second colour"
    )
    return _svg(draw, words, index, (width, 340))


def bars(rows, index=0, width=_WIDE):
    """Importances as bars, with their deviations."""

    def draw(axes):
        names = [row[0] for row in rows][::-1]
        names = names if width == _WIDE else [_wrapped(name) for name in names]
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
    a_bar = 26 if width == _WIDE else 46
    return _svg(draw, words, index, (width, 60 + a_bar * len(rows)))


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


def _svg(draw, words, index, size, pointer=None):
    """A picture as SVG text; `pointer` is (at, lines, unit) for `under_pointer`."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", curves.STYLE]):
        figure = Figure(figsize=(size[0] / _INCH, size[1] / _INCH))
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True)
        if pointer is not None:
            pointer = curves.under_pointer(axes, *pointer)
    return curves.inline(file.getvalue(), words, index, pointer)
