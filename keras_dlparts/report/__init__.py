"""A run directory -> one self-contained HTML page.

The page fetches nothing: styles and pictures are inside it. Pictures need
matplotlib; without it the page has the figures as tables and says how to get more.

**Figures of parts.** A layer or a callback may show something of its own. It
offers a method

    def figures(self, run):
        '''{title: picture}, a picture being a matplotlib Figure or a list of dicts.'''

where `run` is a `keras_dlparts.runs.Run`. A list of dicts becomes a table, a
dict a row. The page gives each part with figures a section of its own; if the
method raises, the section shows the error and the rest of the page stands. What a
callback adds to `logs` is in `run.history` later, and what it writes into
`run.path` stays there, so figures made from these can be drawn again.
Make a Figure by `matplotlib.figure.Figure()`: unlike pyplot it has no global state.
Its black and white, matplotlib's defaults, become the ink and the ground of the
reader's colour scheme; other colours stay, so choose such as can be seen on both.
`figures(part, run)` gives the same to a notebook.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from keras_dlparts.report import page
from keras_dlparts.report.notebook import Figures as Figures
from keras_dlparts.report.notebook import figures as figures
from keras_dlparts.runs import Run
from keras_dlparts.support.files import whole

__all__ = ["Figures", "figures", "write"]


def write(run: Run | str | os.PathLike, parts: Sequence = ()) -> Path:
    """Write `report.html` into a run directory, whole or not at all.

    Args:
        run: A `Run`, or the path of one.
        parts: Layers and callbacks; those with a method `figures(run)` get a section.

    Returns:
        The path of the page.

    Example:

    >>> import json, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name, value in {
    ...     "status.json": {"state": "done"}, "resolved.yaml": {"model": []},
    ...     "environment.json": {"backend": "jax"},
    ... }.items():
    ...     _ = (folder / name).write_text(json.dumps(value))
    >>> write(folder).name
    'report.html'
    """
    run = run if isinstance(run, Run) else Run(run)
    text = page.page(run, parts)
    target = Path(run.path) / "report.html"
    with whole(target) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return target


def __dir__():
    return __all__
