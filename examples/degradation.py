"""The degradation study: deeper plain nets train worse, deeper residual nets do not.

    python examples/degradation.py [--epochs 30] [--depths 4 16 48]

trains `degradation.yaml` with and without its shortcuts and writes
`benchmarks/results/degradation.json` and `docs/figures/degradation.svg`.
"""

import argparse
from pathlib import Path

from studies import ROOT, fitted, save, write

HERE = Path(__file__).resolve().parent


def study(depths, epochs):
    """One row a net: its losses by epoch, and the gradient norms by layer."""
    rows = []
    for depth in depths:
        for shortcut in ("none", "identity"):
            sets = [
                f"model[1].repeat={depth}",
                f"model[1].of[0].shortcut={shortcut}",
                f"fit.epochs={epochs}",
            ]
            history, made = fitted(HERE / "degradation.yaml", sets)
            flow = made.callbacks[0]
            first, last = flow.history["gradient"][0], flow.history["gradient"][-1]
            rows.append(
                {
                    "depth": depth,
                    "shortcut": shortcut,
                    "loss": history["loss"],
                    "val_accuracy": history["val_accuracy"][-1],
                    "gradient_first_step": first[1:-2],  # the repeated layers
                    "gradient_last_step": last[1:-2],
                }
            )
            print(depth, shortcut, f"{history['loss'][-1]:.4f}", flush=True)
    return rows


def draw(rows, path):
    """Training loss by epoch, and the gradient norm by layer at the first step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, gradients = figure.subplots(1, 2)
    colours = ("#56b4e9", "#0072b2", "#d55e00", "#cc79a7")
    for i, row in enumerate(rows):
        colour = colours[i // 2 % len(colours)]
        plain = row["shortcut"] == "none"
        style = {"color": colour, "linestyle": "--" if plain else "-"}
        label = f"{'plain' if plain else 'residual'} {row['depth']}"
        losses.plot(range(1, len(row["loss"]) + 1), row["loss"], label=label, **style)
        norms = row["gradient_first_step"]
        where = [(j + 0.5) / len(norms) for j in range(len(norms))]
        gradients.plot(where, norms, **style)
    losses.set(xlabel="epoch", ylabel="training loss", yscale="log")
    gradients.set(
        xlabel="place of the layer (0: input, 1: output)",
        ylabel="gradient norm, first step",
        yscale="log",
    )
    figure.legend(loc="outside right center", frameon=False)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 16, 48])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = study(asked.depths, asked.epochs)
    command = f"--epochs {asked.epochs} --depths {' '.join(map(str, asked.depths))}"
    write(
        asked.out / "benchmarks/results/degradation.json",
        f"python examples/degradation.py {command}",
        rows,
    )
    draw(rows, asked.out / "docs/figures/degradation.svg")


if __name__ == "__main__":
    main()
