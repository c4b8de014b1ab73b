"""Which samples are taken of a larger data set.

    at random    the first `samples` of a permutation
    balanced     the permutation by turns: the first of each class, the second of each,
                 ..., and of that the first `samples`

So more samples contain the fewer ones, and of two classes neither has two more.
"""

import numpy as np


def at_random(count, samples, generator):
    """The rows of `samples` of `count` samples, in the order of their choice."""
    if samples > count:
        raise ValueError(
            f"`samples` must be at most the {count} training samples that there are. "
            f"Received: samples={samples}"
        )
    return generator.permutation(count)[:samples]


def balanced(labels, samples, generator):
    """The rows of so many samples, by turns of each class, in the order of choice.

    Args:
        labels: Class numbers, or one-hot.
        samples: Integer, `>= 1`.
        generator: A numpy generator.

    Example:

    >>> y = np.array([0, 0, 0, 0, 0, 1, 1])
    >>> sorted(y[balanced(y, 4, np.random.default_rng(0))].tolist())
    [0, 0, 1, 1]
    """
    labels = _class_numbers(labels)
    count = len(labels)
    rows = at_random(count, max(samples, count), generator)
    classes, numbers = np.unique(labels[rows], return_inverse=True)
    counts = np.bincount(numbers)
    if samples < len(classes):
        raise ValueError(
            f"`samples` must be at least one for each of the {len(classes)} classes, "
            f"to be balanced. Received: samples={samples}"
        )
    if counts.min() < samples // len(classes):
        rarest = int(counts.argmin())
        raise ValueError(
            f"`samples` cannot be balanced: class {classes[rarest]} has "
            f"{counts[rarest]} samples, and {samples // len(classes)} are needed of "
            f"each of {len(classes)} classes. Received: samples={samples}. Lower it to "
            f"{counts.min() * len(classes)}"
        )
    by_class = np.argsort(numbers, kind="stable")
    turns = np.empty(count, int)
    turns[by_class] = np.arange(count) - np.repeat(counts.cumsum() - counts, counts)
    return rows[np.lexsort((numbers, turns))][:samples]


def _class_numbers(labels):
    labels = labels if isinstance(labels, dict) or labels is None else labels[:]
    shape = np.shape(labels) if labels is not None else ()
    if len(shape) == 2 and shape[1] > 1:
        return np.argmax(labels, axis=1)
    flat = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if flat and np.array_equal(labels, np.round(labels)):
        return np.reshape(labels, -1)
    what = "no targets" if labels is None else f"targets of shape {shape[1:]}"
    raise ValueError(
        "`balanced` needs targets that are class numbers, or one-hot. Received: "
        f"{'several targets' if isinstance(labels, dict) else what}"
        f"{' that are no whole numbers' if flat else ''}"
    )
