"""Error against weights left: BayesianSparsityDropout, two references, and dense.

    python benchmarks/sparsity.py [--only fashion/lenet-300-100] [--out FILE]

All methods train the same net on the same data for the same epochs with Adam, whose
learning rate falls linearly to 0, at each of one or two rates. Rows that the file
already holds are kept, so that a run that was stopped goes on. Of ours, `predict` at
batch 256 is timed before and after `compact`, in interleaved pairs.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers as kl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import keras_dlparts
from examples.claims.sparsity.references import counts, method_of
from examples.studies import ROOT, write
from keras_dlparts.data import Digits, Idx

FASHION = "/usr/share/datasets/fashion-mnist"
# Epochs, batch, training samples at most, learning rates.
SETTINGS = {
    "fashion/lenet-300-100": (30, 128, None, (3e-3, 1e-3)),
    "fashion/lenet-5": (10, 64, 10_000, (1e-3,)),
    "digits/lenet-300-100": (100, 32, None, (1e-3,)),
    "digits/lenet-5": (60, 32, None, (1e-3,)),
}
METHODS = (
    ("ours", 4.0),
    ("dense", None),
    ("magnitude", 0.95),
    ("ours", 6.0),
    ("ours", 5.0),
    ("variational", None),
    ("ours", 2.0),
    ("magnitude", 0.9),
    ("ours", 12.0),
    ("magnitude", 0.98),
)


def data(name, limit):
    """((x, y) to train, (x, y) to test), images with a channel axis."""
    source = Digits(flatten=False) if name == "digits" else Idx(FASHION)
    splits = source.load()
    train, test = splits.train, splits.test
    pairs = []
    for x, y in (train, test):
        x = np.asarray(x, "float32")
        pairs.append((x if x.ndim == 4 else x[..., None], np.asarray(y)))
    (x, y), test = pairs
    return (x[:limit], y[:limit]), test


def net(kind, shape, wrap):
    """LeNet-300-100, or LeNet-5 of Caffe; on 8x8 images with 3x3 kernels, unpooled."""
    inputs = keras.Input(shape)
    if kind == "lenet-300-100":
        x = kl.Flatten()(inputs)
        widths = 300, 100
    else:
        size, widths = (5, (500,)) if shape[0] > 8 else (3, (500,))
        x = inputs
        for filters in (20, 50):
            x = wrap(kl.Conv2D(filters, size))(x)
            x = kl.MaxPooling2D()(x) if size == 5 else x
        x = kl.Flatten()(x)
    for units in widths:
        x = wrap(kl.Dense(units, "relu"))(x)
    return keras.Model(inputs, wrap(kl.Dense(10))(x))


def trained(name, method, setting, rate, epochs, seed=0):
    """(row, model) of one training."""
    source, kind = name.split("/")
    most, batch, limit, _ = SETTINGS[name]
    epochs = min(most, epochs or most)
    (x, y), test = data(source, limit)
    keras.utils.set_random_seed(seed)
    wrap, callbacks = method_of(method, setting, len(x), epochs, seed)
    model = net(kind, x.shape[1:], wrap)
    steps = epochs * -(-len(x) // batch)
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0)
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    start = time.perf_counter()
    history = model.fit(x, y, batch, epochs, verbose=0, callbacks=callbacks).history
    seconds = time.perf_counter() - start
    result = model.evaluate(*test, batch_size=256, verbose=0, return_dict=True)
    left, weights = counts(model)
    row = {
        "net": name,
        "method": method,
        "setting": setting,
        "rate": rate,
        "epochs": epochs,
        "training_samples": len(x),
        "accuracy": 100 * result["accuracy"],
        "training_accuracy": 100 * history["accuracy"][-1],
        "weights_left": left / weights,
        "compression": weights / max(left, 1),
        "seconds": seconds,
        "seed": seed,
    }
    return row, model


def predict_ratio(model, pairs=31):
    """How much faster `predict` at batch 256 is after compact, and how much smaller."""
    stripped = keras_dlparts.strip(model)
    small = keras_dlparts.compact(model)
    x = np.random.default_rng(0).random((256 * 8, *model.input_shape[1:]), "float32")

    def seconds(net):
        start = time.perf_counter()
        net.predict(x, batch_size=256, verbose=0)
        return time.perf_counter() - start

    for one in (stripped, small):
        seconds(one), seconds(one)
    ratios = []
    for i in range(pairs):
        order = (stripped, small) if i % 2 else (small, stripped)
        took = {id(one): seconds(one) for one in order}
        ratios.append(took[id(stripped)] / took[id(small)])
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "parameters": stripped.count_params(),
        "parameters_compact": small.count_params(),
        "faster": {"median": middle, "quartiles": [low, high], "pairs": pairs},
        "difference": float(np.abs(stripped(x[:256]) - small(x[:256])).max()),
    }


def draw(rows, path):
    """Error against weights left, a panel a net."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "sparsity"
    names = [name for name in SETTINGS if any(r["net"] == name for r in rows)]
    lines = -(-len(names) // 2)
    figure = Figure(figsize=(10, 3.4 * lines), layout="constrained")
    panels = figure.subplots(lines, 2, squeeze=False).ravel()
    looks = {"ours": "#0072b2", "magnitude": "#d55e00", "variational": "#009e73"}
    for axes, name in zip(panels, names, strict=False):
        for rate, style in zip(SETTINGS[name][-1], ("-", "--"), strict=False):
            here = [r for r in rows if (r["net"], r["rate"]) == (name, rate)]
            for row in here:
                if row["method"] == "dense":
                    error, label = 100 - row["accuracy"], f"dense, rate {rate:g}"
                    axes.axhline(error, color="black", linestyle=style, label=label)
            for method, colour in looks.items():
                points = sorted(
                    (r["weights_left"], 100 - r["accuracy"])
                    for r in here
                    if r["method"] == method
                )
                if points:
                    look = {"color": colour, "linestyle": style, "marker": "o"}
                    label = f"{method}, rate {rate:g}"
                    axes.plot(*zip(*points, strict=True), label=label, **look)
        axes.set(
            xscale="log", title=name, xlabel="weights left", ylabel="test error, %"
        )
        axes.legend(frameon=False, fontsize=7)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def table(rows):
    """The rows as Markdown, net by net, the densest first."""
    lines = ["| net | rate | method | error % | weights left | compression |"]
    lines.append("|---|---|---|---|---|---|")
    order = [*SETTINGS]
    for row in sorted(
        rows, key=lambda r: (order.index(r["net"]), -r["rate"], -r["weights_left"])
    ):
        setting = f" ({row['setting']:g})" if row["setting"] else ""
        lines.append(
            f"| {row['net']} | {row['rate']:g} | {row['method']}{setting} "
            f"| {100 - row['accuracy']:.2f} | {100 * row['weights_left']:.1f} % "
            f"| {row['compression']:.1f} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[*SETTINGS], choices=SETTINGS)
    parser.add_argument("--epochs", type=int, help="at most so many")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    path = asked.out / "benchmarks/results/sparsity.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    for name in asked.only:
        if name.startswith("fashion") and not Path(FASHION).is_dir():
            print(f"{name} is left out: there is no {FASHION}")
            continue
        rates = SETTINGS[name][-1]
        for seed, rate, method in itertools.product(asked.seeds, rates, METHODS):
            key = {"net": name, "rate": rate, "seed": seed}
            key |= dict(zip(("method", "setting"), method, strict=True))
            if any(key.items() <= row.items() for row in rows):
                continue
            row, model = trained(name, *method, rate, asked.epochs, seed)
            if method[0] == "ours":
                row["predict"] = predict_ratio(model)
            rows.append(row)
            print(row, flush=True)
            # Whatever options it took: this is what makes the file anew.
            write(path, "python benchmarks/sparsity.py", rows)
            draw(rows, asked.out / "docs/figures/sparsity.svg")
    print(table(rows))


if __name__ == "__main__":
    main()
