"""What an autoencoder shows of itself in a run's report.

reconstructions   samples of the split that validated, beside what comes back
samples           what codes drawn from the prior stand for, of a variational code
codes             in two dimensions, coloured by label; of a wider code its first two
                  principal components
filters           the weight vectors of the first Dense layer
walk              from the codes of some samples to those of others

Samples that are images are shown as such, also flat ones whose length is a square.
"""

import contextlib
import math

import numpy as np
from keras import ops

_PAIRS, _POINTS, _FILTERS, _WALKS, _STEPS = 32, 2000, 64, 6, 9


def figures(model, run):
    """{title: Figure} on the data that the run validated on; {} without matplotlib."""
    found = {}
    if not model.built:
        return found
    x, labels = _data(run)
    with contextlib.suppress(ImportError):
        pairs = np.stack([x[:_PAIRS], model.reconstruct(x[:_PAIRS])], axis=1)
        found["Reconstructions"] = tiles(pairs.reshape(-1, *x.shape[1:]), 8)
        if model.sampling is not None:
            found["Samples"] = tiles(model.sample(64, seed=0), 8)
        found["Codes"] = _plane(model.encode(x[:_POINTS]), labels)
        kernel = _first_kernel(model)
        if kernel is not None:
            found["Filters"] = tiles(kernel.T[:_FILTERS], 8, centred=True)
        ends = x[:_WALKS], x[_WALKS : 2 * _WALKS]
        if len(ends[0]) == len(ends[1]):
            walk = model.interpolate(*ends, _STEPS)
            found["Walk"] = tiles(walk.reshape(-1, *x.shape[1:]), _STEPS)
    return found


def _data(run):
    """Inputs and labels of the split that validated, or else of the training data."""
    try:
        x, y = run.data("validation")
    except ValueError:
        x, y = run.data("train")
    y = None if y is None else np.asarray(y)
    if y is not None and (y.ndim != 1 or y.dtype.kind not in "iu"):
        y = None
    return np.asarray(x, "float32"), None if y is None else y[:_POINTS]


def _first_kernel(model):
    """The kernel of the first layer, if it is a dense one on the inputs themselves."""
    for layer in model.encoder.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            kernel = ops.convert_to_numpy(kernel)
            return kernel if kernel.ndim == 2 else None
    return None


def as_image(sample):
    """A sample as `(rows, columns)` or `(rows, columns, 3)`, or None."""
    if sample.ndim == 3 and sample.shape[-1] in (1, 3):
        return sample[..., 0] if sample.shape[-1] == 1 else np.clip(sample, 0, 1)
    side = math.isqrt(sample.size)
    if sample.ndim == 2 and min(sample.shape) > 1:
        return sample
    if sample.ndim == 1 and side * side == sample.size and side > 1:
        return sample.reshape(side, side)
    return None


def tiles(samples, across, centred=False):
    """Samples as small images in rows of so many, or as the rows of one map."""
    from matplotlib.figure import Figure

    images = [as_image(sample) for sample in samples]
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    if images[0] is None:
        picture = samples.reshape(len(samples), -1)
        axes.set(xlabel="feature", ylabel="sample")
    else:
        high, wide, *colours = images[0].shape
        down = math.ceil(len(images) / across)
        shape = (down * (high + 1) - 1, across * (wide + 1) - 1, *colours)
        picture = np.full(shape, np.nan)
        for i, image in enumerate(images):
            top, left = i // across * (high + 1), i % across * (wide + 1)
            picture[top : top + high, left : left + wide] = image
        axes.set_axis_off()
    most = np.nanmax(np.abs(picture)) or 1.0
    axes.imshow(
        picture,
        cmap="RdBu_r" if centred else "gray",
        vmin=-most if centred else min(0.0, np.nanmin(picture)),
        vmax=most,
        aspect="auto" if images[0] is None else "equal",
        interpolation="nearest",
    )
    return figure


def plane(codes):
    """(two columns, what they are called): codes of two units, or their first two
    principal components."""
    codes = codes.reshape(len(codes), -1)
    if codes.shape[1] <= 2:
        one = np.zeros((len(codes), 1))
        return np.hstack([codes, one])[:, :2], ("first unit", "second unit")
    centred = codes - codes.mean(axis=0)
    _, size, directions = np.linalg.svd(centred, full_matrices=False)
    share = size**2 / np.sum(size**2)
    names = tuple(f"component {i + 1} ({100 * share[i]:.0f} %)" for i in range(2))
    return centred @ directions[:2].T, names


def _plane(codes, labels):
    from matplotlib.figure import Figure

    points, names = plane(codes)
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.add_subplot()
    few = labels is not None and len(np.unique(labels)) <= 10
    drawn = axes.scatter(
        *points.T, c=labels, s=6, cmap="tab10" if few else "viridis", linewidths=0
    )
    if few:
        axes.legend(
            *drawn.legend_elements(), loc="center left", bbox_to_anchor=(1, 0.5)
        )
    axes.set(xlabel=names[0], ylabel=names[1])
    return figure
