"""How much each hyperparameter matters, by what was tried.

A random forest of 64 trees learns the rank of the objective from the values of all
completed trials. The importance of a hyperparameter is what is lost of the forest's
R^2, on the trials that a tree did not see (out of bag), when its values are shuffled
among the trials in which it counts; the mean over 10 shuffles.

    column of a number      where it stands in its range, on its scale, 0 to 1
    columns of a choice     one for each option, shuffled together
    does not count          -1 for a number, 0 for each option
"""

import math

import numpy as np

from keras_dlparts.config.searched import branch_labels

LEAST = 8  # trials; from fewer the figures would be noise
_TREES, _SHUFFLES = 64, 10


def importance(search):
    """[(name, importance, standard deviation)] the most important first, and R^2.

    Raises ImportError without scikit-learn, ValueError with too few trials.
    """
    from sklearn.tree import DecisionTreeRegressor

    trials = search.completed
    if len(trials) < LEAST:
        raise ValueError(f"needs {LEAST} completed trials; there are {len(trials)}")
    groups = _columns(search, trials)
    x = np.concatenate([columns for _, columns, _ in groups], axis=1)
    y = _ranks([trial.score for trial in trials])
    random = np.random.default_rng(0)
    trees, spare = [], []
    for n in range(_TREES):
        rows = random.integers(0, len(x), len(x))
        tree = DecisionTreeRegressor(max_features=0.5, random_state=n)
        trees.append(tree.fit(x[rows], y[rows]))
        spare.append(np.setdiff1d(np.arange(len(x)), rows))

    def r2(x):
        total, counts = np.zeros(len(y)), np.zeros(len(y))
        for tree, left in zip(trees, spare, strict=True):
            if not len(left):
                continue
            total[left] += tree.predict(x[left])
            counts[left] += 1
        known = counts > 0
        error = y[known] - total[known] / counts[known]
        return 1 - (error**2).sum() / ((y[known] - y[known].mean()) ** 2).sum()

    whole, rows, at = r2(x), [], 0
    for name, columns, counts in groups:
        width = columns.shape[1]
        lost = []
        for _ in range(_SHUFFLES):
            mixed = x.copy()
            mixed[counts, at : at + width] = x[random.permutation(counts)][
                :, at : at + width
            ]
            lost.append(whole - r2(mixed))
        rows.append((name, float(np.mean(lost)), float(np.std(lost))))
        at += width
    return sorted(rows, key=lambda row: -row[1]), float(whole)


def _ranks(scores):
    return np.argsort(np.argsort(scores)) / max(1, len(scores) - 1)


def _columns(search, trials):
    """[(name, columns, rows in which it counts)] of what was tried with two values."""
    groups = []
    for space in search.spaces:
        values = [trial.values.get(space.name, _ABSENT) for trial in trials]
        counts = np.array([i for i, v in enumerate(values) if v is not _ABSENT])
        if len({repr(v) for v in values if v is not _ABSENT}) < 2:
            continue
        columns = np.array([_cells(space.spec, value) for value in values])
        groups.append((space.name, columns, counts))
    epochs = [trial.values.get("tuner/epochs") for trial in trials]
    if len({*epochs}) > 1:  # Hyperband sets it: not searched, but it explains much
        columns = np.array(epochs, dtype=float)[:, None] / max(epochs)
        groups.append(("tuner/epochs", columns, np.arange(len(trials))))
    return groups


_ABSENT = object()


def _cells(spec, value):
    if spec["search"] in ("int", "float"):
        return [-1.0 if value is _ABSENT else place(spec, value)]
    options = options_of(spec)
    return [float(value is not _ABSENT and option == value) for option in options]


def options_of(spec):
    """What a choice chooses from."""
    if spec["search"] == "one_of":
        return branch_labels(spec["of"])
    return [False, True] if spec["search"] == "bool" else spec["values"]


def place(spec, value):
    """Where a number stands in its range, 0 to 1, on its scale."""
    low, high = spec["min"], spec["max"]
    if low == high:
        return 0.5
    if spec.get("scale") == "log":
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)
