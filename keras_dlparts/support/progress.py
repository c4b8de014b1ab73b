"""How every long call reports: by Keras' argument `verbose`, on standard error.

    "auto" or 1    lines of news; in a terminal a bar; in a notebook one output that is
                   drawn again in its place
    0              nothing at all

Standard output is left to results. All reports go through one console, so that a line
of news appears above a bar and not in the middle of it.
"""

import contextlib
import functools
import io
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console


def reports(verbose: Literal["auto", 0, 1]) -> bool:
    """Whether anything is to be reported. Raises for what `verbose` cannot be.

    >>> reports("auto"), reports(1), reports(0)
    (True, True, False)
    """
    if verbose not in ("auto", 0, 1):
        raise ValueError(
            '`verbose` must be "auto" or 1 to report progress, or 0 to be silent. '
            f"Received: verbose={verbose!r}"
        )
    return bool(verbose)


@functools.cache
def console() -> "Console":
    """The `rich.console.Console` that writes to standard error, one in a process."""
    from rich.console import Console

    return Console(stderr=True)


def is_live(console: "Console") -> bool:
    """Whether a console is a terminal in which a bar can be drawn again in place."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return console.is_terminal and not console.is_dumb_terminal and not in_ci


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class Cell:
    """One output of a notebook's cell, which each drawing replaces.

    rich draws a bar in a notebook only by widgets, which many notebooks lack, and each
    line that it prints is an output of its own.
    """

    _WIDTH = 100
    _SECONDS_BETWEEN_DRAWINGS = 0.3

    def __init__(self):
        self._shown, self._drawn = None, 0.0

    def show(self, renderable, at_once: bool = False) -> None:
        """Draw something in place of what was drawn before.

        Args:
            renderable: What rich can print.
            at_once: Whether to draw it even if the last drawing was a moment ago.
        """
        if not at_once and time.monotonic() - self._drawn < (
            self._SECONDS_BETWEEN_DRAWINGS
        ):
            return
        self._drawn = time.monotonic()
        from IPython.display import display
        from rich.console import Console

        page = Console(
            file=io.StringIO(),
            record=True,
            width=self._WIDTH,
            force_jupyter=False,
            color_system="truecolor",
        )
        page.print(renderable)
        text = page.export_text(clear=False).rstrip()
        code = '<pre style="white-space:pre;line-height:1.3">{code}</pre>'
        html = page.export_html(inline_styles=True, code_format=code)
        bundle = {"text/plain": text, "text/html": html}
        if self._shown is None:
            self._shown = display(bundle, raw=True, display_id=True)
        else:
            self._shown.update(bundle, raw=True)


def news(verbose: Literal["auto", 0, 1] = "auto") -> Callable[[str], None]:
    """A function that reports a line of text, or with `verbose=0` does nothing."""
    if not reports(verbose):
        return lambda line: None

    def say(line):
        console().print(line, markup=False, highlight=False, soft_wrap=True)

    return say


@contextlib.contextmanager
def bar(
    description: str, total: int | None = None, verbose: Literal["auto", 0, 1] = "auto"
) -> Iterator[Callable[[], None]]:
    """Show a bar in this context, in a terminal or a notebook, where `verbose` asks.

    Args:
        description: What is counted, in a word or two.
        total: Optional number of steps.
        verbose: As everywhere.

    Returns: a function to call after each step.

    Example:

    >>> with bar("passes", total=2, verbose=0) as step:
    ...     step()
    """
    notebook = reports(verbose) and in_notebook()
    if not reports(verbose) or not (notebook or is_live(console())):
        yield lambda: None
        return
    from rich.errors import LiveError
    from rich.progress import MofNCompleteColumn, Progress

    shown = Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=console(),
        transient=True,
    )
    if notebook:
        cell, task = Cell(), shown.add_task(description, total=total)

        def step():
            shown.advance(task)
            cell.show(shown)

        try:
            yield step
        finally:
            cell.show("", at_once=True)  # as in a terminal, where the bar goes too
        return
    try:
        shown.start()
    except LiveError:  # another bar is shown already, and some consoles take only one
        yield lambda: None
        return
    try:
        task = shown.add_task(description, total=total)
        yield lambda: shown.advance(task)
    finally:
        shown.stop()


def tracked(
    items: Collection, description: str, verbose: Literal["auto", 0, 1] = "auto"
) -> Iterator:
    """Iterate over a sized collection, with a bar as `bar` shows it.

    >>> [*tracked([1, 2], "points", verbose=0)]
    [1, 2]
    """
    with bar(description, len(items), verbose) as step:
        for item in items:
            yield item
            step()
