"""Runs, searches, comparisons and parts' figures as a notebook shows them.

A fragment of HTML with its style inside it. Nothing is fetched and no script runs, so
it shows in notebooks that trust nothing, and in those that are only looked at.
"""

from keras_dlparts.report import comparison_page, page, parts_figures
from keras_dlparts.report.html import section, text
from keras_dlparts.report.style import NOTEBOOK_CSS


class Figures(dict):
    """The figures of a part, `{title: Figure or rows}`, which a notebook draws.

    `keras_dlparts.report.figures(part, run)` makes it.

    Example:

    >>> Figures({"Hits": [{"layer": "a", "hits": 3}]})._repr_html_()[:21]
    '<div class="dlparts">'
    """

    def _repr_html_(self):
        return fragment(parts_figures.drawn(self))


def figures(part, run) -> Figures:
    """What a layer or a callback shows of itself, for a notebook to draw.

    Args:
        part: A layer or a callback that has a method `figures(run)`.
        run: The `Run` that it was trained in.

    Returns: a dict `{title: figure}`.
    """
    offered = getattr(part, "figures", None)
    if not callable(offered):
        raise TypeError(
            "only a part with a method `figures(run)` has figures. "
            f"Received: {part!r}, without one"
        )
    return Figures(offered(run))


def fragment(content):
    """HTML for a notebook's cell."""
    return f'<div class="dlparts"><style>{NOTEBOOK_CSS}</style>{content}</div>'


def of_run(run):
    """A run: how it went, its curves, and where its whole page is."""
    return _shown(
        run,
        lambda: (
            page.head(run)
            + page.learning(run)
            + _where("The whole page", run.path / "report.html")
        ),
    )


def of_search(search):
    """A search: how it went, its best trials, and where its whole page is."""
    from keras_dlparts.searching import report

    return _shown(
        search,
        lambda: (
            report.summary(search)
            + _where("The whole page", search.path / "report.html")
        ),
    )


def of_runs(runs):
    """The table of runs."""
    if not runs:
        return fragment(f"<p>No runs under {text(runs.folder)}.</p>")
    left_out = "".join(
        f'<p class="quiet">{text(path)} is left out: {text(reason)}</p>'
        for path, reason in runs.broken.items()
    )
    table = comparison_page.table_of_runs(runs.records(), [*runs.changed()])
    return fragment(table + left_out)


def of_comparison(comparison):
    """What differs, and the curves."""
    return fragment(
        section("What differs", comparison_page.changes(comparison))
        + section("Curves", comparison_page.learning(comparison))
    )


def _shown(one, content):
    """The content, or what is wrong with the folder: showing raises nothing."""
    try:
        return fragment(content())
    except (OSError, ValueError) as error:
        said = f"<p>{text(one.path)} cannot be read: {text(error)}</p>"
        return fragment(said)


def _where(label, path):
    if not path.exists():
        return ""
    return f'<p class="quiet">{label}: <code>{text(path)}</code></p>'
