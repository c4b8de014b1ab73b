"""The two test-time rules of dropout, and what a Monte-Carlo pass costs.

    python benchmarks/dropout.py --data digits --epochs 60 --seeds 0 1 2
    python benchmarks/dropout.py --data /usr/share/datasets/fashion-mnist --epochs 10
    python benchmarks/dropout.py --cost
    python benchmarks/dropout.py --draw        the figure, from the results there are

Nets of two hidden layers, without dropout, with Dropout and with RandomDropout of the
same mean rate, are asked by weight scaling and by means of 1, 5, 20 and 100 passes.
`--cost` times `monte_carlo` against a loop over `model(x, training=True)`, in pairs.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers as kl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
from studies import ROOT, write

import keras_dlparts
from keras_dlparts.data import Digits, Idx
from keras_dlparts.layers import RandomDropout

NETS = {
    "no dropout": lambda: kl.Identity(),
    "Dropout(0.4)": lambda: kl.Dropout(0.4),
    "RandomDropout(0.8)": lambda: RandomDropout(0.8),
}
PASSES = (1, 5, 20, 100)


def net(shape, units, kind):
    hidden = []
    for _ in range(2):
        hidden += [kl.Dense(units, "relu"), NETS[kind]()]
    model = keras.Sequential([keras.Input(shape), kl.Flatten(), *hidden, kl.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    return model


def scores(chances, y):
    """Error in %, mean -log p of the class, calibration error in %."""
    likely, right = chances.max(axis=1), chances.argmax(axis=1) == y
    bins = np.minimum((likely * 15).astype(int), 14)
    gaps = [
        abs(likely[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    return {
        "error": 100 * (1 - right.mean()),
        "nll": float(-np.log(np.maximum(chances[range(len(y)), y], 1e-12)).mean()),
        "calibration_error": 100 * sum(gaps),
    }


def rules(data, units, epochs, seeds):
    """One row a net and a seed: the scores by weight scaling and by n passes."""
    for seed in seeds:
        for kind in NETS:
            keras.utils.set_random_seed(seed)
            model = net(data.train[0][0].shape[1:], units, kind)
            model.fit(data.train, epochs=epochs, shuffle=False, verbose=0)
            x, y = data.test.arrays()
            row = {"net": kind, "seed": seed}
            if kind == "no dropout":
                chances = keras.ops.softmax(model.predict(x, verbose=0))
                row["weight scaling"] = scores(keras.ops.convert_to_numpy(chances), y)
            else:
                for n in PASSES:
                    answer = keras_dlparts.monte_carlo(
                        model, x, n, "softmax", batch_size=1000, seed=seed
                    )
                    row[f"{n} passes"] = scores(answer.mean, y)
                row["weight scaling"] = scores(answer.weight_scaling, y)
            print(row, flush=True)
            yield row


def cost(pairs, samples=50):
    """Seconds of monte_carlo, all in, over those of the loop one would write."""
    x = np.random.default_rng(0).normal(size=(2000, 784)).astype("float32")
    model = net((784,), 512, "Dropout(0.4)")

    def ours():
        keras_dlparts.monte_carlo(model, x, samples, batch_size=500, verbose=False)

    def loop():
        for i in range(0, 2000, 500):
            batch = x[i : i + 500]
            passes = [model(batch, training=True) for _ in range(samples)]
            np.std([keras.ops.convert_to_numpy(y) for y in passes], axis=0)

    ratios, times = [], []
    for i in range(pairs + 1):
        took = {}
        for run in (ours, loop) if i % 2 else (loop, ours):
            start = time.perf_counter()
            run()
            took[run] = time.perf_counter() - start
        ratios.append(took[ours] / took[loop])
        times.append(took[ours])
    low, middle, high = statistics.quantiles(ratios[1:], n=4)
    yield {
        "what": f"{samples} passes over 2000 samples: monte_carlo, its tracing included"
        " / a loop over model(x, training=True)",
        "ratio": {"median": middle, "quartiles": [low, high], "pairs": pairs},
        "our_seconds": statistics.median(times[1:]),
    }


def draw(results, path):
    """The scores by number of passes, and weight scaling's beside them."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "dropout"
    shown = {"error": "test error, %", "nll": "- log p", "calibration_error": "ECE, %"}
    colours = dict(zip(NETS, ("#000000", "#0072b2", "#d55e00"), strict=True))
    figure = Figure(figsize=(9, 2.7 * len(results)), layout="constrained")
    grid = figure.subplots(len(results), 3, squeeze=False)
    for row, (data, rows) in zip(grid, results.items(), strict=True):
        for axes, (score, label) in zip(row, shown.items(), strict=True):
            for kind, colour in colours.items():
                mine = [r for r in rows if r["net"] == kind]
                scaled = np.mean([r["weight scaling"][score] for r in mine])
                axes.axhline(scaled, color=colour, linestyle="--", linewidth=1)
                if f"{PASSES[0]} passes" in mine[0]:
                    means = [
                        np.mean([r[f"{n} passes"][score] for r in mine]) for n in PASSES
                    ]
                    axes.plot(PASSES, means, "o-", color=colour, markersize=4)
            axes.set(xscale="log", title=f"{data}: {label}", xlabel="passes")
            axes.set_xticks(PASSES, [str(n) for n in PASSES])
            axes.set_ylim(bottom=0)
    handles = [*map(_line, colours.values()), _line("#777777", "--", "")]
    labels = [*colours, "dashed: weight scaling"]
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def _line(colour, style="-", marker="o"):
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linestyle=style, marker=marker, markersize=4)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results")
    asked = parser.parse_args()
    if asked.draw:
        files = {
            "digits": asked.out / "dropout_digits.json",
            "Fashion-MNIST": asked.out / "dropout_fashion-mnist.json",
        }
        results = {
            name: json.loads(file.read_text())["rows"]
            for name, file in files.items()
            if file.exists()
        }
        draw(results, ROOT / "docs/figures/dropout.svg")
        return
    if asked.cost:
        name, told = f"dropout_cost_{keras.backend.backend()}", "--cost"
        told += f" --pairs {asked.pairs}"
        rows = [*cost(asked.pairs)]
        print(rows)
    else:
        digits = asked.data == "digits"
        name = "dropout_digits" if digits else "dropout_" + Path(asked.data).name
        data = Digits(batch_size=64) if digits else Idx(asked.data, batch_size=128)
        told = f"--data {asked.data} --epochs {asked.epochs} --seeds "
        told += " ".join(map(str, asked.seeds))
        rows = [*rules(data, 256 if digits else 512, asked.epochs, asked.seeds)]
    path = asked.out / f"{name}.json"
    write(path, f"python benchmarks/dropout.py {told}", rows)


if __name__ == "__main__":
    main()
