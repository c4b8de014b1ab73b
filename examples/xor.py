"""Exclusive or: a perceptron fails, perceptrons behind perceptrons do not.

    python examples/xor.py [--seeds 0 1 2 3 4] [--epochs 5]

trains `xor.yaml` with and without its first layer and writes
`benchmarks/results/xor.json` and `docs/figures/xor.svg`.
"""

import argparse
from pathlib import Path

import numpy as np
import yaml
from studies import ROOT, fitted, save, write

HERE = Path(__file__).resolve().parent
POINTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")


def answers(model, grid):
    return model.predict(grid, batch_size=4096, verbose=0).reshape(-1)


def study(seeds, epochs):
    """(rows, regions): what each net got right, and where it answers 1."""
    config = yaml.safe_load((HERE / "xor.yaml").read_text())
    nets = {"one perceptron": config["model"][1:], "two layers": config["model"]}
    ticks = np.linspace(-0.4, 1.4, 181).astype("float32")
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    rows, regions = [], {}
    for name, layers in nets.items():
        for seed in seeds:
            sets = [f"seed={seed}", f"fit.epochs={epochs}"]
            history, made = fitted({**config, "model": layers}, sets)
            right = (answers(made.model, POINTS) == POINTS.sum(axis=1) % 2).sum()
            rows.append(
                {
                    "net": name,
                    "seed": seed,
                    "points_right": int(right),
                    "accuracy": history["binary_accuracy"],
                }
            )
            print(name, seed, right, flush=True)
            regions.setdefault(name, answers(made.model, grid).reshape(181, 181))
    return rows, regions


def draw(rows, regions, path):
    """Where each net of the first seed answers 1, and the accuracy by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    *maps, curves = figure.subplots(1, 3)
    for axes, (name, region) in zip(maps, regions.items(), strict=True):
        axes.imshow(
            region,
            extent=(-0.4, 1.4, -0.4, 1.4),
            origin="lower",
            cmap="Blues",
            vmin=-0.2,
            vmax=1.6,
        )
        for (a, b), odd in zip(POINTS, POINTS.sum(axis=1) % 2, strict=True):
            box = {"boxstyle": "circle", "facecolor": "white", "linewidth": 0.5}
            axes.text(a, b, f"{odd:.0f}", ha="center", va="center", bbox=box)
        axes.set(title=name, xlabel="first bit", ylabel="second bit")
        axes.set(xticks=(0, 1), yticks=(0, 1))
    for row in rows:
        colour = "#d55e00" if row["net"] == "one perceptron" else "#0072b2"
        epochs = range(1, len(row["accuracy"]) + 1)
        curves.plot(epochs, row["accuracy"], color=colour, linewidth=1)
    curves.set(xlabel="epoch", ylabel="accuracy in training", ylim=(0.3, 1.03))
    curves.set_title("all seeds")
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows, regions = study(asked.seeds, asked.epochs)
    seeds = " ".join(map(str, asked.seeds))
    write(
        asked.out / "benchmarks/results/xor.json",
        f"python examples/xor.py --seeds {seeds} --epochs {asked.epochs}",
        rows,
    )
    path = asked.out / "docs/figures/xor.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(rows, regions, path)


if __name__ == "__main__":
    main()
