"""The rule that makes a verdict of rows.

A criterion compares a figure of a way with a number, or with a figure of another way
with the same seed. Of the differences d of n seeds

    d_mean +- t s / sqrt n

is computed, where s is their deviation and t the 95 % point of Student's distribution
with n - 1 degrees of freedom (2.92 for three seeds). The criterion *holds* if all of
that interval is on the claimed side, by the least difference that was asked for; it is
*contradicted* if all of it is on the other side; else it stays *open*. Where
nothing is drawn by chance, one run decides.

    reproduced           all criteria hold
    partly               some hold, at the budget that the claim needs, or at more
    not                  none holds, at the budget that the claim needs, or at more
    not at this budget   not all hold, and the run was smaller than what the claim needs
    too few seeds        fewer than three seeds (or than all, where there are fewer)
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from examples.claims.claim import BUDGETS

CONFIDENCE, LEAST_SEEDS = 0.95, 3
TOO_FEW = "too few seeds"


@dataclass(frozen=True)
class Judged:
    """A criterion with its state, and the mean difference with half its interval."""

    criterion: object
    state: str
    mean: float
    half: float


@dataclass(frozen=True)
class Verdict:
    """What the rows of a budget say."""

    word: str
    budget: str
    seeds: tuple
    judged: tuple


def complete_seeds(claim, rows):
    """The seeds for which each way has a row."""
    seeds = sorted({row["seed"] for row in rows})
    return [s for s in seeds if not claim.wanted(rows, [s])]


def values(rows, way, figure, seeds):
    """A figure of a way for each seed; `errors.3` is the fourth one of `errors`."""
    found = {row["seed"]: row for row in rows if row["way"] == way}
    if not found:
        raise LookupError(f"there are no rows of {way!r}")
    return np.array([_within(found[seed], figure) for seed in seeds])


def _within(row, figure):
    for part in figure.split("."):
        row = row[int(part) if isinstance(row, list) else part]
    return float(row)


def judge(criterion, rows, seeds):
    """Whether a criterion holds, is contradicted, or stays open."""
    d = values(rows, criterion.of, criterion.figure, seeds)
    if isinstance(criterion.other, str):
        figure = criterion.other_figure or criterion.figure
        d = d - values(rows, criterion.other, figure, seeds)
    else:
        d = d - criterion.other
    mean, half = float(d.mean()), 0.0
    if len(d) > 1:
        t = stats.t.ppf(CONFIDENCE, len(d) - 1)
        half = float(t * d.std(ddof=1) / math.sqrt(len(d)))
    if criterion.near is not None:
        holds = abs(mean) + half <= criterion.within
        contradicted = abs(mean) - half > criterion.within
    else:
        ahead = mean if criterion.above is not None else -mean
        holds = ahead - half > criterion.by
        contradicted = ahead + half < min(criterion.by, 0)
    state = "holds" if holds else "contradicted" if contradicted else "open"
    return Judged(criterion, state, mean, half)


def verdict(claim, budget, rows):
    """The verdict of a budget's rows."""
    seeds = complete_seeds(claim, rows)
    if len(seeds) < min(LEAST_SEEDS, len(claim.seeds)):
        return Verdict(TOO_FEW, budget, tuple(seeds), ())
    judged = tuple(judge(one, rows, seeds) for one in claim.criteria)
    hold = sum(one.state == "holds" for one in judged)
    if hold == len(judged):
        word = "reproduced"
    elif BUDGETS.index(budget) < BUDGETS.index(claim.needs):
        word = "not at this budget"
    else:
        word = "partly" if hold else "not"
    return Verdict(word, budget, tuple(seeds), judged)


def verdicts(claim, out=None):
    """The verdicts of all budgets that have rows, the largest budget last.

    A budget whose rows are of too few seeds counts only if there is no other, so that
    a run that was begun does not hide what smaller ones have found.
    """
    rows = [(b, claim.rows(b, out)) for b in BUDGETS]
    found = [verdict(claim, b, some) for b, some in rows if some]
    return [one for one in found if one.word != TOO_FEW] or found
