"""The shortcut study: every row of the paper's table, trained small, side by side.

    python examples/shortcuts.py [--epochs 10] [--seeds 0 1]

trains each choice of `shortcuts.yaml` and writes `benchmarks/results/shortcuts.json`.
"""

import argparse
from pathlib import Path

from studies import ROOT, fitted, write

HERE = Path(__file__).resolve().parent
# Row, and the paper's test error in % of ResNet-110 on CIFAR-10; "fails": above 20 %.
PAPER = (
    ("identity (1, 1)", 6.61),
    ("scale (0, 1)", "fails"),
    ("scale (.5, 1)", "fails"),
    ("scale (.5, .5)", 12.35),
    ("exclusive gate, bias -6", 8.70),
    ("exclusive gate, bias -7", 9.81),
    ("shortcut-only gate, bias 0", 12.86),
    ("shortcut-only gate, bias -6", 6.91),
    ("1x1 convolution", 12.22),
    ("dropout .5", "fails"),
    ("none (plain net)", None),
    ("BN after addition", 8.17),
    ("ReLU before addition", 7.84),
    ("ReLU-only pre-activation", 6.71),
    ("full pre-activation", 6.37),
)


def study(epochs, seeds):
    rows = []
    for i, (name, paper) in enumerate(PAPER):
        label = f"ResNet#{i + 1}" if i else "ResNet"
        errors, losses = [], []
        for seed in seeds:
            sets = [f"model.default='{label}'", f"fit.epochs={epochs}", f"seed={seed}"]
            history, made = fitted(HERE / "shortcuts.yaml", sets)
            _, accuracy = made.model.evaluate(made.data.test, verbose=0)
            errors.append(100 * (1 - accuracy))
            losses.append(history["loss"][-1])
        rows.append(
            {"row": name, "paper_error": paper, "test_error": errors, "loss": losses}
        )
        print(name, errors, losses, flush=True)
    return rows


def table(rows):
    """The rows as Markdown, beside the paper's."""
    yield "| shortcut or order | paper: ResNet-110, CIFAR-10 | here: error % | loss |"
    yield "|---|---|---|---|"
    for row in rows:
        errors = ", ".join(f"{error:.1f}" for error in row["test_error"])
        losses = ", ".join(f"{loss:.2g}" for loss in row["loss"])
        paper = "" if row["paper_error"] is None else row["paper_error"]
        yield f"| {row['row']} | {paper} | {errors} | {losses} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    seeds = " ".join(map(str, asked.seeds))
    rows = study(asked.epochs, asked.seeds)
    write(
        asked.out / "benchmarks/results/shortcuts.json",
        f"python examples/shortcuts.py --epochs {asked.epochs} --seeds {seeds}",
        rows,
    )
    print(*table(rows), sep="\n")  # for docs/residual.md


if __name__ == "__main__":
    main()
