"""Columns of a history -> small SVG pictures that take the page's colours.

matplotlib draws with stand-in colours; in the SVG each becomes a CSS variable, so
one picture serves light and dark pages. Text stays text. A picture carries what the
page's script needs to show values under the pointer; see `keras_dlparts.report.script`.
"""

import io
import json
import math
import re

from keras_dlparts.report import html
from keras_dlparts.report.style import HUES
from keras_dlparts.runs import AVERAGE, BOOKKEEPING, higher_is_better

MUTED, RULE, TRAIN, VAL, PAPER, *HUE = (f"#0a0b{i:02x}" for i in range(5 + HUES))
VARIABLES = {
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    TRAIN: "var(--train)",
    VAL: "var(--val)",
    PAPER: "var(--card)",
    **{colour: f"var(--hue-{i})" for i, colour in enumerate(HUE)},
}
_WIDTH, _HEIGHT = 360, 210  # in CSS pixels at the size the page shows them
_MOST_POINTS = 400  # of a curve under the pointer: more than a picture has pixels
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dlparts",
    "font.size": 12,
    "axes.edgecolor": RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
}


def groups(history):
    """The quality columns as [(name, training column, validation column)].

    Either column may be None. The loss comes first, the rest as in the history. What
    averaged weights reach in validation has a panel of its own.
    """
    names = [
        name.removeprefix("val_") if name.startswith("val_") else name
        for name in history
        if name not in BOOKKEEPING
    ]
    names = sorted(dict.fromkeys(names), key=lambda name: name != "loss")
    found = []
    for name in names:
        train = name if name in history else None
        val = f"val_{name}" if f"val_{name}" in history else None
        if name.startswith(f"{AVERAGE}val_"):
            train, val = None, name
        found.append((name, train, val))
    return found


def finite(values):
    return [value for value in values if math.isfinite(value)]


def panel(name, epochs, series, best=None, from_zero=False, index=0):
    """One picture as SVG text. Raises ImportError without matplotlib.

    `series` is [(label, values)], the training first; `best` = (epoch, value) gets
    a ring. Numbers that are not finite leave gaps.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", STYLE]):
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
        axes = figure.add_axes((0.13, 0.135, 0.635, 0.825))
        colours = [VAL if label == "val" else TRAIN for label, _ in series]
        for (label, values), colour in zip(series, colours, strict=True):
            values = [v if math.isfinite(v) else math.nan for v in values]
            axes.plot(
                epochs,
                values,
                color=colour,
                linewidth=2 if label == "val" else 1.6,
                linestyle="-" if label == "val" or len(series) == 1 else (0, (3, 1.6)),
                marker="o" if len(finite(values)) <= 12 else None,
                markersize=6 if len(epochs) == 1 else 3.5,
                markeredgewidth=0,
            )
        if best:
            axes.plot(
                *best, marker="o", markersize=8, color=PAPER, mec=VAL, mew=1.8, ls=""
            )
        seen = finite(v for _, values in series for v in values)
        _divide(axes, name, epochs, seen, from_zero)
        _label_ends(axes, series, colours)
        # Nothing else stands in the corner below the labels.
        figure.text(0.985, 0.045, "epoch", ha="right", color=MUTED)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True)
        lines = [
            (label or name, values, colour)
            for (label, values), colour in zip(series, colours, strict=True)
        ]
        pointer = under_pointer(axes, epochs, lines)
    return inline(file.getvalue(), describe(name, epochs, series), index, pointer)


def overlay(name, at, lines, index=0, size=(_WIDTH, _HEIGHT), unit="epoch"):
    """Many curves in one picture as SVG text. Raises ImportError without matplotlib.

    Args:
        name: What the curves are of.
        at: The places of the points on the horizontal axis, common to all.
        lines: [(label, values, colour, options of matplotlib's `plot`)].
        index: The picture's number on its page.
        size: Width and height in CSS pixels at the size the page shows.
        unit: What is counted on the horizontal axis.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", STYLE]):
        figure = Figure(figsize=(size[0] / 72, size[1] / 72))
        left = 46 / size[0]
        axes = figure.add_axes((left, 34 / size[1], 0.985 - left, 1 - 44 / size[1]))
        for _, values, colour, options in lines:
            values = [v if v is not None and math.isfinite(v) else None for v in values]
            seen = [(a, v) for a, v in zip(at, values, strict=True) if v is not None]
            dots = "o" if len(seen) <= 12 else None
            plain = {"linewidth": 1.6, "marker": dots, "markersize": 3}
            values = [math.nan if value is None else value for value in values]
            axes.plot(at, values, color=colour, **plain | options)
        seen = finite(v for _, values, *_ in lines for v in values if v is not None)
        _divide(axes, name, at, seen)
        axes.set_xlabel(unit, color=MUTED, loc="right", labelpad=1)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True)
        pointer = under_pointer(axes, at, [line[:3] for line in lines], unit)
    words = f"{name} by {unit}, {len(lines)} curves"
    if len(lines) <= HUES:
        words += ": " + "; ".join(_ends(label, values) for label, values, *_ in lines)
    return inline(file.getvalue(), words, index, pointer)


def _ends(label, values):
    seen = finite(value for value in values if value is not None)
    return f"{label} from {seen[0]:.4g} to {seen[-1]:.4g}" if seen else f"{label} none"


def _divide(axes, name, at, seen, from_zero=False):
    """Set the scales, limits and marks of the axes, for the values that are seen."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    if asks_for_log(name, seen):
        axes.set_yscale("log")
        narrow = max(seen) / min(seen) < 1e3
        subs = (1.0, 3.0) if narrow else (1.0,)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=7))
        axes.yaxis.minorticks_off()
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if from_zero:
            axes.set_ylim(0, 1.08 * max(seen, default=1) or 1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: tick(v)))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    if len(at) == 1:
        axes.set_xlim(at[0] - 1, at[0] + 1)
        axes.set_xticks(at)


def under_pointer(axes, at, lines, unit="epoch"):
    """What the page's script needs of a picture; see `keras_dlparts.report.script`.

    Of a long curve every n-th point is given. It is read after the picture was drawn.
    """
    every = -(-len(at) // _MOST_POINTS)
    figure = axes.figure
    height = figure.get_figheight() * 72
    box = axes.get_position()
    width = figure.get_figwidth() * 72
    return {
        "at": [*at][::every],
        "series": [
            [label, [_plain(value) for value in [*values][::every]], VARIABLES[colour]]
            for label, values, colour in lines
        ],
        "box": [
            round(box.x0 * width, 2),
            round((1 - box.y1) * height, 2),
            round(box.width * width, 2),
            round(box.height * height, 2),
        ],
        "x": [*map(float, axes.get_xlim())],
        "y": [*map(float, axes.get_ylim())],
        "log": axes.get_yscale() == "log",
        "unit": unit,
    }


def _plain(value):
    """A value as JSON may have it and people read it, in five digits."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")


def asks_for_log(name, values):
    """Whether the range is too wide for a linear axis. Accuracies stay linear."""
    return (
        bool(values)
        and not higher_is_better(name)
        and min(values) > 0
        and max(values) / min(values) >= 30
    )


def describe(name, epochs, series):
    """The picture in words, for those who do not see it."""
    said = []
    for label, values in series:
        seen = [(e, v) for e, v in zip(epochs, values, strict=True) if math.isfinite(v)]
        if not seen:
            said.append(f"{label or 'no'} finite values")
            continue
        low, high = (pick(seen, key=lambda pair: pair[1]) for pick in (min, max))
        said.append(
            f"{label} from {seen[0][1]:.4g} to {seen[-1][1]:.4g}, "
            f"lowest {low[1]:.4g} at epoch {low[0]:g}, "
            f"highest {high[1]:.4g} at epoch {high[0]:g}".strip()
        )
    return f"{name} by epoch: {'; '.join(said)}"


def _label_ends(axes, series, colours):
    """Write each line's name and last value at its end, apart from each other."""
    ends = []
    for (label, values), colour in zip(series, colours, strict=True):
        seen = finite(values)
        if seen:
            at = axes.transAxes.inverted().transform(
                axes.transData.transform((axes.get_xlim()[1], seen[-1]))
            )[1]
            ends.append([at, f"{label} {html.number(seen[-1])}".strip(), colour])
    ends.sort()
    if len(ends) == 2 and ends[1][0] - ends[0][0] < 0.1:
        middle = (ends[0][0] + ends[1][0]) / 2
        ends[0][0], ends[1][0] = middle - 0.05, middle + 0.05
    for at, words, colour in ends:
        axes.annotate(
            words,
            (1, min(max(at, 0.0), 1.0)),
            xycoords="axes fraction",
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            annotation_clip=False,
        )


def tick(value):
    return f"{value:g}" if abs(value) < 1e5 else f"{value:.0e}"


def inline(svg, words, index, pointer=None):
    """matplotlib's SVG file as an element of the page.

    Args:
        svg: The file's text.
        words: The picture in words.
        index: The picture's number on its page.
        pointer: What `under_pointer` gave, for values under the pointer.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # A page has one set of ids for all its pictures: give each picture its own.
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>f{index}-", svg)
    svg = re.sub("|".join(VARIABLES), lambda found: VARIABLES[found[0]], svg)
    box = re.search(r'viewBox="[^"]*"', svg)[0]
    head = f'<svg {box} role="img" aria-label="{html.text(words)}"'
    if pointer is not None:
        data = json.dumps(pointer, separators=(",", ":"))
        head += f' data-curve="{html.text(data)}"'
    head += ">"
    return head + svg[svg.index(">") + 1 :]
