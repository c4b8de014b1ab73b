"""The clipping study: no clipping, a fixed norm, AutoClip and ours, side by side.

    python examples/clipping.py [--epochs 15] [--seeds 0 1 2] [--rates 0.1 0.3 1]

trains each choice of `clipping.yaml`; writes `benchmarks/results/clipping_study.json`
and `docs/figures/clipping.svg`.
"""

import argparse
import statistics
from pathlib import Path

import keras
from studies import ROOT, fitted, save, write

HERE = Path(__file__).resolve().parent
NETS = {"list": "LSTM", "ResNet": "residual net"}
# Method, and what it chooses of `optimizer` and `callbacks`.
METHODS = {
    "none": ("SGD", "SmoothnessTrace"),
    "fixed norm 1": ("Clipped", "SmoothnessTrace"),
    "AutoClip": ("Clipped#2", "SmoothnessTrace"),
    "ours": ("SGD", "RelaxedSmoothnessClipping"),
    "ours, adapted rate": ("SGD", "RelaxedSmoothnessClipping"),
    "ours, safety 1": ("SGD", "RelaxedSmoothnessClipping"),
    "ours, safety 10": ("SGD", "RelaxedSmoothnessClipping"),
}
SETTINGS = {
    "adapted rate": "adapt_learning_rate: true",
    "safety 10": "safety: 10.0",
    "safety 1": "safety: 1.0",
}
# What a net that diverged counts as in the picture: the loss of guessing, and more.
WORST = 10.0


def overrides(method, rate):
    """What `--set` would say."""
    optimizer, callback = METHODS[method]
    sets = [
        f"optimizer.default='{optimizer}'",
        f"callbacks[0].default={callback}",
        f"optimizer.of[0].learning_rate={rate}",
        *(f"optimizer.of[{i}].optimizer.learning_rate={rate}" for i in (1, 2)),
    ]
    for words, setting in SETTINGS.items():
        if method.endswith(words):
            sets.append(f"callbacks[0].of[1]={{use: {callback}, {setting}}}")
    return sets


def study(epochs, seeds, rates):
    rows = []
    for net in NETS:
        for rate in rates:
            for method in METHODS:
                losses = []
                for seed in seeds:
                    sets = [f"model.default={net}", f"fit.epochs={epochs}"]
                    sets += [f"seed={seed}", *overrides(method, rate)]
                    keras.backend.clear_session()
                    history, _ = fitted(HERE / "clipping.yaml", sets)
                    losses.append(history["loss"][-1])
                row = {"net": NETS[net], "rate": rate, "method": method, "loss": losses}
                rows.append(row)
                print(row, flush=True)
    return rows


def middle(losses):
    """The median; a loss that is not a number is the worst there is."""
    return statistics.median(x if x < WORST else WORST for x in losses)


def picture(rows, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    nets = list(dict.fromkeys(row["net"] for row in rows))
    all_axes = figure.subplots(1, len(nets), squeeze=False)[0]
    for axes, net in zip(all_axes, nets, strict=True):
        for i, method in enumerate(METHODS):
            of = [r for r in rows if r["net"] == net and r["method"] == method]
            rates = [r["rate"] * 1.04 ** (i - 2) for r in of]  # side by side
            lows = [min(min(r["loss"]), WORST) for r in of]
            highs = [max(x if x < WORST else WORST for x in r["loss"]) for r in of]
            middles = [middle(r["loss"]) for r in of]
            axes.vlines(rates, lows, highs, color=f"C{i}", alpha=0.5)
            axes.plot(rates, middles, "o-", color=f"C{i}", label=method, ms=4)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(net, fontsize=10)
        axes.set_xlabel("learning rate")
    all_axes[0].set_ylabel("training loss at the end")
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside right")
    save(figure, path)


def table(rows):
    """The medians as Markdown."""
    rates = list(dict.fromkeys(row["rate"] for row in rows))
    yield "| net | method | " + " | ".join(f"rate {rate}" for rate in rates) + " |"
    yield "|---" * (2 + len(rates)) + "|"
    for net in dict.fromkeys(row["net"] for row in rows):
        for method in METHODS:
            of = [r for r in rows if r["net"] == net and r["method"] == method]
            cells = [
                f"{middle(r['loss']):.3g}" if middle(r["loss"]) < WORST else "diverged"
                for r in of
            ]
            yield f"| {net} | {method} | {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4, 5, 6])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.3, 1.0])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = study(asked.epochs, asked.seeds, asked.rates)
    seeds, rates = (" ".join(map(str, v)) for v in (asked.seeds, asked.rates))
    command = f"python examples/clipping.py --epochs {asked.epochs} --seeds {seeds}"
    write(
        asked.out / "benchmarks/results/clipping_study.json",
        f"{command} --rates {rates}",
        rows,
    )
    picture(rows, asked.out / "docs/figures/clipping.svg")
    print(*table(rows), sep="\n")  # for docs/clipping.md


if __name__ == "__main__":
    main()
