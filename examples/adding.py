"""The adding study: what layer normalisation is worth to an LSTM of long memory.

    python examples/adding.py [--epochs 5] [--seeds 0 1 2] [--rates 0.003]

trains both nets of `adding.yaml`; writes `benchmarks/results/adding.json` and
`docs/figures/adding.svg`. The guess 1 has a mean squared error of 1/6.
"""

import argparse
import statistics
from pathlib import Path

import keras
from studies import ROOT, fitted, save, write

HERE = Path(__file__).resolve().parent
NETS = {"LayerNormLSTM": "#0072b2", "LSTM": "#d55e00"}


def study(epochs, seeds, rates, length):
    rows = []
    for rate in rates:
        for seed in seeds:
            for net in NETS:
                sets = [f"model[0].default={net}", f"data.length={length}"]
                sets += [f"optimizer.learning_rate={rate}"]
                sets += [f"fit.epochs={epochs}", f"seed={seed}"]
                keras.backend.clear_session()
                history, _ = fitted(HERE / "adding.yaml", sets)
                row = {"net": net, "rate": rate, "seed": seed}
                rows.append(row | {"val_loss": history["val_loss"]})
                print(net, rate, seed, history["val_loss"], flush=True)
    return rows


def picture(rows, path):
    """The validation loss by epoch, one plot a learning rate, one line a seed."""
    from matplotlib.figure import Figure

    rates = list(dict.fromkeys(row["rate"] for row in rows))
    figure = Figure(figsize=(3 + 3 * len(rates), 3), layout="constrained")
    panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
    for axes, rate in zip(panels, rates, strict=True):
        labelled = set()
        for row in rows:
            if row["rate"] == rate:
                label = None if row["net"] in labelled else row["net"]
                labelled.add(row["net"])
                epochs = range(1, len(row["val_loss"]) + 1)
                axes.plot(epochs, row["val_loss"], color=NETS[row["net"]], label=label)
        axes.axhline(1 / 6, color="black", linestyle=":", label="the guess 1")
        axes.set(title=f"learning rate {rate:g}", xlabel="epoch", yscale="log")
    panels[0].set_ylabel("mean squared error, validation")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside right center", frameon=False)
    save(figure, path)


def table(rows):
    """The last losses as Markdown: the median over the seeds, and all of them."""
    yield "| learning rate | net | validation loss, median | each seed |"
    yield "|---|---|---|---|"
    for rate in dict.fromkeys(row["rate"] for row in rows):
        for net in NETS:
            of = [
                r["val_loss"][-1] for r in rows if (r["net"], r["rate"]) == (net, rate)
            ]
            each = ", ".join(f"{loss:.2g}" for loss in of)
            yield f"| {rate:g} | {net} | {statistics.median(of):.2g} | {each} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.003])
    parser.add_argument("--length", type=int, default=400)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = study(asked.epochs, asked.seeds, asked.rates, asked.length)
    seeds, rates = (" ".join(map(str, v)) for v in (asked.seeds, asked.rates))
    command = f"python examples/adding.py --epochs {asked.epochs} --seeds {seeds}"
    command += f" --rates {rates} --length {asked.length}"
    write(asked.out / "benchmarks/results/adding.json", command, rows)
    picture(rows, asked.out / "docs/figures/adding.svg")
    print(*table(rows), sep="\n")  # for docs/recurrent.md


if __name__ == "__main__":
    main()
