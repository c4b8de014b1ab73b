"""The loss landscapes of a plain and a residual net of the same depth.

    python examples/landscapes.py [--depth 24] [--epochs 30] [--points 25]

trains `degradation.yaml` twice and writes `benchmarks/results/landscapes.json` and
`docs/figures/landscapes.png`.
"""

import argparse
from pathlib import Path

import numpy as np
from studies import ROOT, fitted, save, write

from keras_dlparts.analysis import loss_landscape

HERE = Path(__file__).resolve().parent


def study(depth, epochs, points):
    """[(row, landscape)] of both nets, on 1000 samples of the training data."""
    found = []
    for shortcut in ("none", "identity"):
        sets = [
            f"model[1].repeat={depth}",
            f"model[1].of[0].shortcut={shortcut}",
            f"fit.epochs={epochs}",
        ]
        history, made = fitted(HERE / "degradation.yaml", sets)
        x, y = made.data.train.arrays()
        surface = loss_landscape(
            made.model, (x[:1000], y[:1000]), points=points, batch_size=1000
        )
        middle = points // 2
        low = surface.loss[middle, middle]
        row = {
            "shortcut": shortcut,
            "depth": depth,
            "loss_by_epoch": history["loss"],
            "loss": float(low),
            # How much of the square is nearly as good as the middle.
            "share_below_loss_plus_1": float(np.mean(surface.loss < low + 1)),
            "grid": surface.grid.tolist(),
            "landscape": surface.loss.tolist(),
        }
        print(shortcut, row["loss"], row["share_below_loss_plus_1"], flush=True)
        found.append((row, surface))
    return found


def draw(rows, path):
    """Both surfaces on one logarithmic scale."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    surfaces = [np.array(row["landscape"]) for row in rows]
    low = max(min(s.min() for s in surfaces), 1e-3)
    levels = np.geomspace(low, max(s.max() for s in surfaces), 24)
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, row, surface in zip(panels, rows, surfaces, strict=True):
        grid = row["grid"]
        drawn = axes.contourf(
            grid, grid, surface.T.clip(low), levels, norm=LogNorm(), cmap="viridis"
        )
        axes.contour(
            grid, grid, surface.T.clip(low), levels, colors="white", linewidths=0.3
        )
        axes.plot(0, 0, "+", color="#d55e00", markersize=9)
        kind = "plain" if row["shortcut"] == "none" else "residual"
        axes.set_title(f"{kind} net of depth {row['depth']}, loss {row['loss']:.2g}")
        axes.set(xlabel="first direction", ylabel="second direction", aspect="equal")
    bar = figure.colorbar(drawn, ax=panels, label="training loss", format="%.2g")
    bar.set_ticks(levels[::4])
    bar.ax.minorticks_off()
    save(figure, path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--points", type=int, default=25)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = [row for row, _ in study(asked.depth, asked.epochs, asked.points)]
    command = f"--depth {asked.depth} --epochs {asked.epochs} --points {asked.points}"
    write(
        asked.out / "benchmarks/results/landscapes.json",
        f"python examples/landscapes.py {command}",
        rows,
    )
    draw(rows, asked.out / "docs/figures/landscapes.png")


if __name__ == "__main__":
    main()
