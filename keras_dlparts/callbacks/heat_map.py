"""A picture of numbers by layer and step, for callbacks that measure."""

import math

import numpy as np


def heat_map(names, steps, every, values, share=False):
    """A Figure: layers downwards, steps to the right.

    Args:
        names: The layers' names.
        steps: At which steps was measured.
        every: Integer, the steps from one measurement to the next.
        values: Array `(layers, steps)`.
        share: Whether values are shares, from 0 to 1; else their scale is logarithmic.
    """
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure

    if share:
        low, high, norm = 0.0, 1.0, Normalize(0.0, 1.0)
    else:
        finite = values[np.isfinite(values) & (values > 0)]
        low, high = (finite.min(), finite.max()) if finite.size else (1e-3, 1.0)
        # At least a factor of ten, so that small differences do not look like large.
        middle = math.sqrt(low * high)
        low = min(low, middle / math.sqrt(10))
        high = max(high, middle * math.sqrt(10))
        norm = LogNorm(low, high)
    count = len(names)
    figure = Figure(figsize=(7, min(10, 1.4 + 0.22 * count)), layout="constrained")
    axes = figure.add_subplot()
    mesh = axes.pcolormesh(
        [*steps, steps[-1] + every],
        np.arange(count + 1),
        np.clip(np.nan_to_num(values, nan=high, posinf=high), low, high),
        norm=norm,
        cmap="viridis",
        rasterized=True,
    )
    axes.invert_yaxis()
    shown = [*range(0, count, max(1, math.ceil(count / 40)))]
    axes.set_yticks([i + 0.5 for i in shown], [names[i] for i in shown], size=7)
    axes.set_xlabel("step")
    figure.colorbar(mesh, ax=axes)
    return figure
