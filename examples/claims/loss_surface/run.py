"""The loss around the weights that a plain and a residual net end with."""

from pathlib import Path

import numpy as np

from examples.studies import fitted
from keras_dlparts.analysis import loss_landscape

CONFIG = Path(__file__).parents[1] / "degradation/config.yaml"


def run(seed, data, shortcut, depth, epochs, points, look, samples=10_000):
    """The loss on a square of two random directions, and how sharp it is.

    `rise` is the median over the square of the loss beyond that in the middle, `share`
    the part of the square where it is less than 1 beyond. On that many images of the
    training data.
    """
    sets = [
        f"data.path={data}",
        f"data.samples={samples}",
        f"model[2].repeat={depth}",
        f"model[2].of[0].shortcut={shortcut}",
        f"fit.epochs={epochs}",
        f"seed={seed}",
    ]
    _, made = fitted(CONFIG, sets)
    x, y = made.data.train.arrays()
    options = {"points": points, "batch_size": look, "seed": seed, "verbose": 0}
    surface = loss_landscape(made.model, (x[:look], y[:look]), **options)
    # Weights far off may give no finite loss; it counts as the highest that is drawn.
    loss = np.nan_to_num(surface.loss, nan=1e6, posinf=1e6).clip(max=1e6)
    low = loss[points // 2, points // 2]
    return {
        "rise": float(np.median(loss - low)),
        "share": float(np.mean(loss < low + 1)),
        "loss": float(low),
        "grid": surface.grid.tolist(),
        "surface": loss.tolist(),
    }


def draw(figure, rows):
    """Both surfaces of the first seed on one logarithmic scale."""
    from matplotlib.colors import LogNorm

    first = min(row["seed"] for row in rows)
    rows = [row for row in rows if row["seed"] == first]
    surfaces = [np.array(row["surface"]) for row in rows]
    low = max(min(s.min() for s in surfaces), 1e-3)
    levels = np.geomspace(low, max(s.max() for s in surfaces), 24)
    figure.set_size_inches(9, 4)
    panels = figure.subplots(1, len(rows), squeeze=False)[0]
    for axes, row, surface in zip(panels, rows, surfaces, strict=True):
        grid, heights = row["grid"], surface.T.clip(low)
        options = {"norm": LogNorm(), "cmap": "viridis"}
        drawn = axes.contourf(grid, grid, heights, levels, **options)
        axes.contour(grid, grid, heights, levels, colors="white", linewidths=0.3)
        axes.plot(0, 0, "+", color="#d55e00", markersize=9)
        axes.set_title(f"{row['way']}, loss {row['loss']:.2g}, seed {first}", size=10)
        axes.set(xlabel="first direction", ylabel="second direction", aspect="equal")
    bar = figure.colorbar(drawn, ax=panels, label="training loss", format="%.2g")
    bar.set_ticks(levels[::4])
    bar.ax.minorticks_off()
