"""Tables of a claim's figures, written from its rows.

`BUDGET.md` in a claim's folder is a table in Markdown. In its cells

    {way: figure format}           the figure of each seed, as "0.72, 0.77, 0.80"
    {way: figure mean format}      their mean, least and most, as "0.76 (0.72 to 0.80)"
    {way: figure median format}    their median
    {way: figure range format}     the least and the most, as "0.72 to 0.80"
    {way: figure most format}      the most

stand for the figures of that way's rows, at that budget, with the seeds that all ways
have. The format is Python's, as `.2f`. A figure may be within another one: `errors.3`
is the fourth of the list `errors`, `losses.low` the value of that name. A way of
another claim is written `claim/way`. What all seeds show alike stands once.
"""

import functools
import re

import numpy as np

from examples.claims.claim import load
from examples.claims.verdict import complete_seeds, values

CELL = re.compile(r"\{(?:(\w+)/)?([^{}]+): ([\w.]+)(?: (\w+))? (\S+)\}")
PLACE = re.compile(
    r"(<!-- figures: (\w+) (\w+) -->\n).*?(<!-- /figures -->)", re.DOTALL
)


def table(claim, budget):
    """A claim's table with the figures of a budget, or None where it has none."""
    path = claim.folder / f"{budget}.md"
    if not path.exists():
        return None

    @functools.cache  # a file of rows may be large, and has many cells
    def rows_and_seeds(other):
        one = load(other) if other else claim
        rows = one.rows(budget)
        return rows, complete_seeds(one, rows)

    def cell(found):
        other, way, figure, kind, shown = found.groups()
        try:
            rows, seeds = rows_and_seeds(other)
            figures = values(rows, way, figure, seeds)
            return _told(figures, kind or "each", shown)
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: {found[0]}: {error!r}") from error

    filled = CELL.sub(cell, path.read_text(encoding="utf-8"))
    if "{" in filled:
        line = next(line for line in filled.splitlines() if "{" in line)
        raise ValueError(f"{path}: a cell is {{way: figure format}}. Received: {line}")
    return filled.strip()


def placed(text):
    """A page's text with today's figures in the tables of claims that it names.

    They stand between `<!-- figures: CLAIM BUDGET -->` and `<!-- /figures -->`.
    """

    def one(found):
        begin, name, budget, end = found.groups()
        made = table(load(name), budget)
        if made is None:
            raise ValueError(f"there is no {name}/{budget}.md, which a page asks for")
        return f"{begin}\n{made}\n\n{end}"

    return PLACE.sub(one, text)


def _told(figures, kind, shown):
    def told(number):
        return format(float(number), shown)

    least, most = told(min(figures)), told(max(figures))
    middle = told(np.median(figures))
    cell = {
        "each": ", ".join(map(told, figures)),
        "mean": f"{told(np.mean(figures))} ({least} to {most})",
        "median": middle,
        "range": f"{least} to {most}",
        "most": most,
    }[kind]
    return middle if least == most else cell
