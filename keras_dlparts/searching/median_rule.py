"""The median rule: which trials are worth no further epochs.

    stop trial t after epoch e  if  best_t(e) is worse than
        median over finished trials u of  mean(objective_u(1), ..., objective_u(e))

best_t(e) is the best objective of t so far. The means of the others count their epochs
up to e only, so that a trial is compared with what the others had reached by then.
Golovin et al. 2017, "Google Vizier: a service for black-box optimization", KDD.
"""

import statistics


def is_hopeless(best, curves, step, maximize, least):
    """Whether the rule stops a trial.

    Args:
        best: The trial's best objective so far.
        curves: The other trials' `[(step, objective), ...]`.
        step: The trial's last step, counted as theirs.
        maximize: Whether a higher objective is better.
        least: Integer. How many others there must be, or nothing is stopped.

    Example:

    >>> others = [[(0, 1.0), (1, 0.0)], [(0, 3.0), (1, 2.0)]]
    >>> is_hopeless(2.5, others, step=0, maximize=False, least=2)  # 2.5 > 2
    True
    >>> is_hopeless(1.2, others, step=1, maximize=False, least=2)  # 1.2 < 1.5
    False
    """
    seen = [[value for at, value in curve if at <= step] for curve in curves]
    means = [statistics.fmean(values) for values in seen if values]
    if len(means) < least:
        return False
    middle = statistics.median(means)
    return best < middle if maximize else best > middle
