"""A Neocognitron on digits: ways to the patterns of its S-cells, read out alike.

    seeds     by seed cells, from images without labels, stage by stage
    patches   from what cells at random places see in those images
    random    at random, as gradients start from
    gradient  by back-propagation, from all training images and their labels
    none      no net: the pixels are read out

A linear layer reads them out, by ridge regression, whose penalty is the best on
validation images.
"""

import warnings

import keras
import numpy as np
from keras import ops

from examples.claims.data import images
from examples.claims.pictures import as_text, from_text
from keras_dlparts.layers import NeocognitronC, NeocognitronS
from keras_dlparts.layers.neocognitron.fields import falling

HELD = 1000  # images of validation and of test
SHIFTS = (0, 1, 2, 3, 4, 6)
NOISES = (0.0, 0.1, 0.2, 0.3, 0.4)
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
SELECTIVITIES = (2.0, 1.5)
Q = 16.0


def run(seed, data, patterns, training, **options):
    """Accuracies of the read-out in %, with shifts and noise; and the patterns."""
    (x, y), held, (test, labels) = parts(data, seed, training)
    model, learnt = None, None
    if patterns != "none":
        model, learnt = taught(patterns, seed, x, y, **options)

    def features(x):
        return model.predict(x, 250, verbose=0) if model else x.reshape(len(x), -1)

    readout = Readout(features(x), y, features(held[0]), held[1])
    random = np.random.default_rng([seed, 2])
    shift = [
        readout.score(features(shifted(test, by, random)), labels) for by in SHIFTS
    ]
    noise = [readout.score(features(noisy(test, by, random)), labels) for by in NOISES]
    row = {
        "accuracy": 100 * shift[0],
        "shifted": 100 * shift[SHIFTS.index(2)],
        "noisy": 100 * noise[NOISES.index(0.4)],
        "planes_learnt": learnt,
        "validation": readout.validation,
        "shift": shift,
        "noise": noise,
    }
    return row | {"tiles": tiles(model)} if model and seed == 0 else row


def parts(data, seed, training):
    """(images, labels) to learn from, to validate with and to test."""
    found = images(data)
    x, test = (each[..., None].astype("float32") for each in (found.x, found.x_test))
    last = 5 * len(x) // 6  # the ones after it validate
    rows = np.random.default_rng(seed).permutation(last)[:training]
    held = slice(last, last + HELD)
    return (
        (x[rows], found.y[rows]),
        (x[held], found.y[held]),
        (test[:HELD], found.y_test[:HELD]),
    )


def net(seed, planes, unlabelled=0, columns=5, pooling="blur"):
    """S- and C-cells, twice; by seed cells if there are images without labels."""
    keras.utils.set_random_seed(seed)
    half = unlabelled // 2
    options = {"column_size": columns, "reinforcement": Q}
    first, second = {"learn_for": half}, {"learn_after": half, "learn_for": half}
    if not half:
        first = second = {"learning": "gradient"}
    r1, r2 = SELECTIVITIES
    s1 = NeocognitronS(planes[0], 5, selectivity=r1, name="s1", **options, **first)
    second = {**options, **second, "padding": "same"}
    s2 = NeocognitronS(planes[1], 5, selectivity=r2, name="s2", **second)
    c1, c2 = (NeocognitronC(size, pooling=pooling) for size in (5, 4))
    layers = [s1, c1, s2, c2, keras.layers.Flatten()]
    return keras.Sequential([keras.Input((28, 28, 1)), *layers])


def taught(patterns, seed, x, y, planes, unlabelled, epochs, **options):
    """A net with its weights, and how many planes of each S-layer have learnt."""
    few = x[:unlabelled]
    by_seed_cells = patterns in ("seeds", "patches")
    model = net(seed, planes, unlabelled if by_seed_cells else 0, **options)
    if patterns == "seeds":
        model.compile("sgd")
        with warnings.catch_warnings():  # seed cells learn within the call
            warnings.filterwarnings("ignore", ".*not have any trainable weights")
            model.fit(few, batch_size=min(100, len(few)), shuffle=False, verbose=0)
        # What has learnt nothing responds to all a little, at random: not read out.
        for layer in (model.get_layer("s1"), model.get_layer("s2")):
            learnt = ops.convert_to_numpy(layer.inhibition) > 0
            layer.kernel.assign(ops.convert_to_numpy(layer.kernel) * learnt)
    elif patterns == "gradient":
        whole = keras.Sequential([model, keras.layers.Dense(10)])
        whole.compile(
            keras.optimizers.Adam(0.003),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        whole.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
    elif patterns == "patches":
        random = np.random.default_rng([seed, 1])
        for i, layer in enumerate(model.layers):
            if isinstance(layer, NeocognitronS):
                below = keras.Sequential([keras.Input((28, 28, 1)), *model.layers[:i]])
                given = below.predict(few, verbose=0) if i else few
                imprint(layer, fields(given, layer, random))
    inhibitions = (model.get_layer(name).inhibition for name in ("s1", "s2"))
    return model, [int((ops.convert_to_numpy(b) > 0).sum()) for b in inhibitions]


def fields(given, layer, random):
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


def tiles(model):
    """What the cells of the first S-layer look for, side by side, each up to 1."""
    kernel = ops.convert_to_numpy(model.get_layer("s1").kernel)[:, :, 0]
    tiles = kernel / np.maximum(kernel.max(axis=(0, 1)), 1e-12)
    padded = np.pad(tiles, [(0, 0), (0, 1), (0, 0)], constant_values=1)
    return as_text(np.moveaxis(padded, -1, 1).reshape(len(kernel), -1))


def draw(figure, rows):
    """Accuracy over the shift and over the noise, and the first stage's patterns."""
    ways = list(dict.fromkeys(row["way"] for row in rows))
    figure.set_size_inches(12, 3.8)
    left, right = figure.subfigures(1, 2, width_ratios=[1.7, 1])
    panels = left.subplots(1, 2, sharey=True)
    for axes, key, at, label in zip(
        panels,
        ("shift", "noise"),
        (SHIFTS, NOISES),
        ("shift in pixels", "deviation of the noise"),
        strict=True,
    ):
        for i, way in enumerate(ways):
            its = np.array([row[key] for row in rows if row["way"] == way])
            axes.plot(at, its.mean(0), "o-", ms=3, color=f"C{i}", label=way)
            axes.plot(at, its.T, ".", ms=2, color=f"C{i}")
        axes.set(xlabel=label, ylim=(0, 1))
    panels[0].set_ylabel("test accuracy of the linear read-out")
    panels[0].legend(frameon=False, fontsize=7)
    shown = {row["way"]: row["tiles"] for row in rows if "tiles" in row}
    grid = right.subplots(max(len(shown), 1), 1, squeeze=False)[:, 0]
    right.suptitle("what the first stage looks for", size=9)
    for axes, (way, text) in zip(grid, shown.items(), strict=False):
        axes.imshow(from_text(text), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(way, rotation=0, ha="right", va="center", size=8)
