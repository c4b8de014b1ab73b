"""What a restricted Boltzmann machine shows of itself in a run's report.

filters       the columns of W, as images where the visible units make squares
fantasies     means of v after Gibbs steps from the persistent chains, if there are
              any, or else from the visible biases
activities    how often hidden units are on: the running mean of each
free energy   of training against validation, epoch by epoch: where the gap grows,
              the machine begins to overfit (Hinton's guide, section 6)
"""

import contextlib
import math

import numpy as np
from keras import ops

_SHOWN = 64
_STEPS = 500


def figures(layer, run):
    """{title: Figure or table}; without matplotlib a table of the activities."""
    if not layer.built:
        return {}
    found = {}
    with contextlib.suppress(ImportError):  # the table is left
        W = ops.convert_to_numpy(layer.kernel)
        found["Filters"] = tiles(W.T[:_SHOWN], centred=True)
        found["Fantasies"] = tiles(_fantasies(layer), centred=False)
        found["Mean activity of the hidden units"] = _histogram(layer)
        gauge = free_energies(run.history)
        if gauge is not None:
            found["Free energy by epoch"] = gauge
    activity = ops.convert_to_numpy(layer.activity)
    found["Hidden units"] = [
        {
            "units": layer.units,
            "mean activity": f"{activity.mean():.3g}",
            "least": f"{activity.min():.3g}",
            "most": f"{activity.max():.3g}",
        }
    ]
    return found


def _fantasies(layer):
    start = None
    count = _SHOWN
    if layer.persistent:
        h = ops.convert_to_numpy(layer.particles) / ops.convert_to_numpy(layer.share)
        count = min(_SHOWN, len(h))
        start = layer.visible_given(h[:count])
    steps = 1 if layer.persistent else _STEPS
    return ops.convert_to_numpy(layer.sample(count, steps, start, means=True))


def side(units):
    """The side of the square image that visible units make, or None."""
    root = math.isqrt(units)
    return root if root * root == units and root > 1 else None


def tiles(rows, centred):
    """Rows of visible units as small images, or as a map where they make none."""
    from matplotlib.figure import Figure

    square = side(rows.shape[1])
    high = np.abs(rows).max() or 1.0
    low = -high if centred else min(0.0, rows.min())
    picture = rows
    if square:
        across = math.ceil(math.sqrt(len(rows)))
        down = math.ceil(len(rows) / across)
        step = square + 1
        picture = np.full((down * step - 1, across * step - 1), np.nan)
        for i, row in enumerate(rows):
            top, left = i // across * step, i % across * step
            picture[top : top + square, left : left + square] = row.reshape(square, -1)
    figure = Figure(figsize=(6, 6 if square else 3.5), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(
        picture,
        cmap="RdBu_r" if centred else "gray",
        vmin=low,
        vmax=high,
        aspect="equal" if square else "auto",
        interpolation="nearest",
    )
    if square:
        axes.set_axis_off()
    else:
        axes.set(xlabel="visible unit", ylabel="hidden unit" if centred else "chain")
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def _histogram(layer):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    bins = np.linspace(0, 1, 41) if layer.hidden == "bernoulli" else 40
    axes.hist(ops.convert_to_numpy(layer.activity), bins, color="#0072b2")
    if layer.sparsity_target is not None:
        axes.axvline(layer.sparsity_target, color="#d55e00", label="target")
        axes.legend(frameon=False)
    axes.set(xlabel="mean activity", ylabel="hidden units")
    return figure


def free_energies(history):
    """Training against validation, epoch by epoch; None where there is neither."""
    columns = [(n, history.get(n)) for n in ("free_energy", "val_free_energy")]
    if not columns[0][1]:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    colours = {"free_energy": "#56b4e9", "val_free_energy": "#d55e00"}
    for name, values in columns:
        if values:
            label = "validation" if name.startswith("val") else "training"
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, label=label, color=colours[name])
    axes.set(xlabel="epoch", ylabel="mean free energy")
    axes.legend(frameon=False)
    return figure
