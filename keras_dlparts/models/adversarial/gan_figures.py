"""What an adversarial net shows of itself in a run's report.

samples       images where samples are such, points where they are points of a plane
D             over the plane, where samples are points of it
losses        those of both nets, epoch by epoch
"""

import contextlib

import numpy as np
from keras import ops

from keras_dlparts.models.adversarial import objectives

_IMAGES = 64
_POINTS = 1000
_GRID = 80
_COLOURS = {"discriminator_loss": "#0072b2", "generator_loss": "#d55e00"}


def figures(gan, run):
    """{title: Figure or table}; without matplotlib a table of the last epoch."""
    history, found = run.history, {}
    with contextlib.suppress(ImportError):  # the table is left
        shape = gan.sample_shape
        if len(shape) == 1 and shape[0] == 2:
            points = gan.sample(_POINTS, seed=0)
            found["Samples, and D over the plane"] = plane(gan, points)
        elif len(shape) == 3 or (len(shape) == 2 and min(shape) > 1):
            found["Samples"] = images(gan.sample(_IMAGES, seed=0))
        if history.get("discriminator_loss"):
            found["Both losses by epoch"] = losses(history)
    names = ("real_score", "fake_score", "real_accuracy", "fake_accuracy")
    known = [name for name in names if history.get(name)]
    if known:
        row = {name.replace("_", " "): f"{history[name][-1]:.3g}" for name in known}
        found["The discriminator in the last epoch"] = [row]
    return found


def plane(gan, points):
    """Points of the generator, and what the discriminator says of each place."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot()
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.2 * np.maximum(high - low, 1e-3)
    low, high = low - margin, high + margin
    if gan.packing == 1 and not gan.classes:
        sides = [np.linspace(a, b, _GRID) for a, b in zip(low, high, strict=True)]
        grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2).astype("float32")
        s = ops.cast(gan(ops.convert_to_tensor(grid), training=False), "float32")
        values = ops.convert_to_numpy(objectives.judged(s, gan.objective)[0])
        picture = values.reshape(_GRID, _GRID)
        extent = (low[0], high[0], low[1], high[1])
        image = axes.imshow(
            picture, origin="lower", extent=extent, cmap="RdBu", aspect="auto"
        )
        figure.colorbar(image, ax=axes, label="D", shrink=0.8)
    axes.plot(*points.T, ".", markersize=2, color="#009e73")
    axes.set(xlabel="x[0]", ylabel="x[1]")
    return figure


def images(samples):
    """Images of one or three channels, side by side in a square."""
    from matplotlib.figure import Figure

    samples = np.asarray(samples, "float32")
    if samples.ndim == 3:
        samples = samples[..., None]
    if samples.shape[-1] not in (1, 3):
        samples = samples.mean(axis=-1, keepdims=True)
    low, high = samples.min(), samples.max()
    samples = (samples - low) / max(high - low, 1e-6)
    side = int(np.ceil(np.sqrt(len(samples))))
    height, width, depth = samples.shape[1:]
    picture = np.ones((side * (height + 1), side * (width + 1), depth))
    for i, sample in enumerate(samples):
        top, left = i // side * (height + 1), i % side * (width + 1)
        picture[top : top + height, left : left + width] = sample
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    one = picture[..., 0] if depth == 1 else picture
    axes.imshow(one, cmap="gray", interpolation="nearest")
    axes.set_axis_off()
    return figure


def losses(history):
    """Both losses by epoch, validation beside training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    for name, colour in _COLOURS.items():
        for prefix, line in (("", "-"), ("val_", ":")):
            values = history.get(prefix + name)
            if values:
                label = (prefix + name).replace("_", " ")
                epochs = range(1, len(values) + 1)
                axes.plot(epochs, values, line, color=colour, label=label)
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend(frameon=False)
    return figure
