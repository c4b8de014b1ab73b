"""A claim's picture: its own, or its figures as dots, one a seed, way by way."""

import base64
import io
import textwrap

import numpy as np

from examples.studies import save as save_figure

OURS, PAPERS = "#0072b2", "#d55e00"


def save(claim, budget, rows, out=None):
    """Draw what a budget's rows say; nothing where there are none."""
    from matplotlib.figure import Figure

    if not rows:
        return
    module = claim.module()
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    if hasattr(module, "draw"):
        module.draw(figure, rows)
    else:
        dots(figure, claim, rows)
    options = {"dpi": 110} if claim.picture == "png" else {}
    save_figure(figure, claim.image(out), **options)


def dots(figure, claim, rows):
    """A panel a figure that a criterion names: dots for seeds, a line for the mean."""
    shown = list(dict.fromkeys(one.figure for one in claim.criteria))
    ways = [way for way in claim.ways if any(row["way"] == way for row in rows)]
    figure.set_size_inches(9, 1.3 + 0.28 * len(ways))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, shown, strict=True):
        by_way(axes, rows, name, ways)
        for one in claim.published:
            if one.figure == name and one.of in ways:
                place = ways.index(one.of)
                axes.plot(float(one.value), place, "x", color=PAPERS, label="published")
        shown_values = [row[name] for row in rows if name in row]
        if min(shown_values) > 0 and max(shown_values) > 20 * min(shown_values):
            axes.set_xscale("log")
        axes.set_xlabel(textwrap.fill(claim.figures[name], 90 // len(shown)))
        axes.grid(axis="x", alpha=0.3)
        axes.margins(y=0.15 / max(len(ways) / 4, 1))
    panels[0].set_yticks(range(len(ways)), ways)
    panels[0].invert_yaxis()
    handles = [h for axes in panels for h in axes.get_legend_handles_labels()[0]]
    if handles:
        figure.legend(handles[:1], ["published"], loc="outside lower right")


def by_way(axes, rows, name, ways):
    """A line a way: a dot for the figure of each seed, and a stroke at their mean."""
    for place, way in enumerate(ways):
        found = [row[name] for row in rows if row["way"] == way and name in row]
        if not found:
            continue
        axes.plot(found, [place] * len(found), "o", color=OURS, ms=4, alpha=0.7)
        axes.vlines(np.mean(found), place - 0.3, place + 0.3, color=OURS, lw=2)


def as_text(image):
    """A grey image of values in [0, 1] as text, for a row that is to be drawn later."""
    from PIL import Image

    grey = np.round(np.clip(image, 0, 1) * 15).astype("uint8") * 17
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def from_text(text):
    """The image that `as_text` wrote."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(text)))
    return np.asarray(image, "float32") / 255
