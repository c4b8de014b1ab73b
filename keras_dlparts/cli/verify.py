"""`dlparts verify`: the contract suite on one part, ours or a plugin's."""

import textwrap

from rich.markup import escape

from keras_dlparts import registry
from keras_dlparts.cli.arguments import RegisteredName
from keras_dlparts.cli.console import out, stop
from keras_dlparts.cli.starting import start_backend


def verify(name: RegisteredName):
    """Run the contract suite on a part and print what holds and what does not."""
    parts = [part for part in registry.find_any(name) if part.vendor != "keras"]
    if not parts:
        stop(
            2,
            "the contract is that of registered parts, ours and those of plugins. "
            f"Received: {name}, which is Keras' own and has no case to check it with",
        )
    start_backend()
    from keras_dlparts.testing import verify as verify_part

    failed = sum(print_results(part, verify_part(part)) for part in parts)
    if failed:
        stop(1, f"{failed} check{'s' * (failed > 1)} of the contract failed")


def print_results(part, results):
    """Print how the checks of a part went; returns how many failed."""
    marks = {True: "[green]holds[/]", False: "[red]fails[/]", None: "[yellow]skips[/]"}
    shown = part.name
    out.print(f"[bold]{part.name}[/]  [dim]{part.kind}, {part.distribution}[/]")
    for result in results:
        case, _, check = result.check.rpartition(": ")
        if case != shown:
            out.print(escape(case), highlight=False, soft_wrap=True)
            shown = case
        out.print(f"  {marks[result.ok]}  {check}", highlight=False)
        if not result.ok:
            message = textwrap.indent(result.message, " " * 9)
            out.print(escape(message), highlight=False, soft_wrap=True)
    return sum(result.ok is False for result in results)
