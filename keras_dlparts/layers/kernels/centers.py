"""Where centers stand among data, and how wide they are.

    widths: s_u = mean distance of c_u to the two nearest other centers

Moody & Darken 1989, "Fast learning in networks of locally-tuned processing units".
"""

import numpy as np


def chosen(rows, units, seed):
    """Different rows, as many as units, drawn at random."""
    found, seen = [], set()
    for i in np.random.default_rng(seed).permutation(len(rows)):
        key = (rows[i] + 0.0).tobytes()  # 0 and -0 are the same
        if key not in seen:
            seen.add(key)
            found.append(i)
            if len(found) == units:
                return rows[np.array(found)]
    raise ValueError(
        "There must be at least as many different rows of data as centers. Received: "
        f"{units} units, {len(rows)} rows, {len(found)} of them different. "
        "Lower `units`"
    )


def k_means(rows, units, seed):
    """The means that scikit-learn's k-means finds."""
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise ImportError(
            "centers='kmeans' needs scikit-learn: pip install keras-dlparts[tune]; "
            "centers='data' does without"
        ) from error
    # Sorted out in float32 it takes half as long; about the mean that costs no digits.
    # It starts from rows of the data: k-means++ takes many times as long for so many
    # centers, and ends hardly better (by 2 % on MNIST).
    mean = rows.mean(axis=0, dtype="float64")
    start = np.float32(chosen(rows, units, seed) - mean)
    found = KMeans(units, init=start, n_init=1).fit(np.float32(rows - mean))
    return found.cluster_centers_.astype("float64") + mean


def widths(centers, rows):
    """The width of each center, from its nearest others, shape (units,)."""
    centers = np.asarray(centers, "float64")
    if len(centers) == 1:  # it has no others: the distance of the data
        widths = np.sqrt(((rows - centers) ** 2).sum(axis=1).mean(keepdims=True))
    else:
        x = centers - centers.mean(axis=0)
        squares = (x**2).sum(axis=1)
        widths = np.empty(len(x))
        for i in range(0, len(x), 512):  # all at once may be many
            part = slice(i, i + 512)
            q = np.maximum(squares[part, None] - 2 * x[part] @ x.T + squares, 0)
            q[np.arange(len(q)), np.arange(i, i + len(q))] = np.inf
            near = np.sqrt(np.partition(q, min(1, q.shape[1] - 2), axis=1)[:, :2])
            widths[part] = near[np.isfinite(near)].reshape(len(q), -1).mean(axis=1)
    if not (widths > 0).all():
        raise ValueError(
            "Centers must differ for their distances to be widths. Received: equal "
            "ones. Lower `units`, or give `initial_width`"
        )
    return widths
