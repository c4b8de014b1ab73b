"""What the commands print: results on standard output, everything else on the other."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_dlparts.support import progress

out = Console()
err = progress.console()


def stop(code, message):
    """End the command with an exit code and the reason for it."""
    err.print(escape(message), style="red" if code == 1 else None, soft_wrap=True)
    raise SystemExit(code)


def print_rows(rows):
    """Print rows of cells in columns, without a head."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(*row)
    out.print(table, highlight=False)
