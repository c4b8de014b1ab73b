"""How every long call reports: by Keras' argument `verbose`, on standard error.

    "auto" or 1    lines of news, and in a terminal a bar
    0              nothing at all

Standard output is left to results. All reports go through one console, so that a line
of news appears above a bar and not in the middle of it.
"""

import contextlib
import functools
import os
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
    """Show a bar in this context, where `verbose` asks for it and a terminal is there.

    Args:
        description: What is counted, in a word or two.
        total: Optional number of steps.
        verbose: As everywhere.

    Returns: a function to call after each step.

    Example:

    >>> with bar("passes", total=2, verbose=0) as step:
    ...     step()
    """
    if not reports(verbose) or not is_live(console()):
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
