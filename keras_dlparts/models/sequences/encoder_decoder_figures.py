"""What an encoder-decoder shows of itself in a run's report.

written     some sources, what was written of them greedily, and the targets where they
            are others: a table of symbols, or pictures of real values, time downwards
contexts    their first two principal components, coloured by the length of the source
"""

import contextlib

import numpy as np

from keras_dlparts.models.sequences.sequence_inputs import parts

_ROWS, _POINTS = 8, 500
_WRITTEN = "Written from contexts"


def figures(model, run):
    """{title: Figure or table} on the data that the run validated on."""
    if not model.built:
        return {}
    source, target = _pairs(run)
    context = model.encode(source)
    length = min(target.shape[1], model.length or target.shape[1])
    written = model.decode(context[:_ROWS], length)
    found, shown = {}, {"source": source, "written": written}
    if target is not source:
        shown["target"] = target
    shown = {name: sequences[:_ROWS] for name, sequences in shown.items()}
    if model.vocabulary and model.source_symbols:
        found[_WRITTEN] = [
            dict(zip(shown, map(_told, row), strict=True))
            for row in zip(*shown.values(), strict=True)
        ]
    with contextlib.suppress(ImportError):  # without matplotlib the table is left
        if not model.vocabulary:
            found[_WRITTEN] = _pictures(shown)
        found["Contexts"] = _plane(context, _lengths(model, source))
    return found


def _pairs(run):
    """Sources and targets of the split that validated, or else of the training data."""
    try:
        x, _ = run.data("validation")
    except ValueError:
        x, _ = run.data("train")
    source, target, _ = parts(x)
    first = np.asarray(source[:_POINTS])
    return first, first if target is source else np.asarray(target[:_POINTS])


def _told(symbols):
    """The symbols of a sequence that are no padding, as text."""
    return " ".join(str(symbol) for symbol in symbols if symbol)


def _lengths(model, source):
    """How many steps of each source are no padding."""
    if model.source_symbols:
        return (source != 0).sum(axis=1)
    if model.mask_value is None:
        return None
    axes = tuple(range(2, source.ndim))
    return (source != model.mask_value).any(axis=axes).sum(axis=1)


def principal(context):
    """The rows' first two principal components, and the share of the variance."""
    centred = context - context.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    share = np.square(sizes[:2]).sum() / max(np.square(sizes).sum(), 1e-30)
    return centred @ axes[:2].T, share


def _plane(context, lengths):
    from matplotlib.figure import Figure

    points, share = principal(context)
    if points.shape[1] < 2:
        points = np.concatenate([points, np.zeros_like(points)], axis=1)
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot()
    colour = {"color": "#0072b2"} if lengths is None else {"c": lengths}
    dots = axes.scatter(*points.T, s=8, **colour)
    axes.set_title(f"{share:.0%} of the variance", fontsize="medium")
    axes.set(xlabel="first component", ylabel="second component")
    if lengths is not None:
        figure.colorbar(dots, ax=axes, label="length of the source")
    return figure


def _pictures(shown):
    """A line for each kind of sequences, a column for each sequence."""
    from matplotlib.figure import Figure

    lines, columns = len(shown), max(map(len, shown.values()))
    figure = Figure(figsize=(8, 1.15 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for line, (name, sequences) in zip(grid, shown.items(), strict=True):
        for axes, sequence in zip(line, sequences, strict=True):
            steps = np.asarray(sequence, "float32").reshape(len(sequence), -1)
            axes.imshow(steps, cmap="gray", aspect="auto", interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name)
    return figure
