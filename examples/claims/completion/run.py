"""Half-hidden and noisy digits, completed by machines and by memories, side by side.

A method is shown digits that it has learnt or stored and digits that it has not:

    half     the lower half is hidden: machines sample it with the rest clamped, the
             classical network is clamped too, the modern one looks up the whole pattern
             by the half that is shown
    noise    one pixel of ten is flipped: machines go one Gibbs step, networks recall
"""

import keras
import numpy as np
from keras import ops

from examples.claims.data import flat_images
from examples.claims.pictures import as_text, by_way, from_text
from keras_dlparts.layers import RBM, Hopfield, ModernHopfield
from keras_dlparts.models import DBM

STORED, TRIED, FLIPPED = 100, 100, 0.1
DRAWN = 3  # digits of each kind and task
BETA = 0.05  # of the modern network, whose patterns differ in dozens of pixels
HIDDEN = np.arange(784) >= 392


def run(seed, data, method, train, epochs, units, steps):
    """The share of pixels in % that end up wrong, of the hidden half or of all."""
    found = flat_images(data, train)
    learnt, new = binary(found.x), binary(found.x_test[:TRIED])
    fill, clean = METHODS[method](learnt, seed, epochs, units, steps)
    random, row, shown = np.random.default_rng(seed), {}, []
    for kind, x in (("seen", learnt[:STORED]), ("unseen", new)):
        noisy = np.where(random.random(x.shape) < FLIPPED, 1 - x, x).astype("float32")
        half = np.where(HIDDEN, 0.5, x)
        for task, given, counted, y in (
            ("half", half, HIDDEN, fill(x)),
            ("noise", noisy, slice(None), clean(noisy)),
        ):
            y = ops.convert_to_numpy(y)
            wrong = ((y > 0.5) != (x > 0.5))[:, counted].mean()
            row[f"{task}_{kind}"] = 100 * float(wrong)
            shown.append([part[:DRAWN] for part in (x, given, y)])
    if seed == 0:
        digits = np.concatenate(shown, axis=1)  # (3, digits, 784)
        columns = [as_text(column.reshape(-1, 28)) for column in digits]
        row |= dict(zip(("original", "given", "tiles"), columns, strict=True))
    return row


def binary(x):
    return (x > 0.5).astype("float32")


def control(learnt, *_):
    most = learnt.mean(axis=0) > 0.5
    return lambda x: np.where(HIDDEN, most, x), lambda noisy: noisy


def rbm(learnt, seed, epochs, units, steps):
    layer = RBM(units, persistent=True, seed=seed, monitor=False, data_init=True)
    layer.adapt(learnt)
    teach(keras.Sequential([keras.Input((784,)), layer]), learnt, epochs)
    return sampled(layer, steps)


def dbm(learnt, seed, epochs, units, steps):
    layers = [2 * units // 3] * 2
    model = DBM(layers, k=2, inference_steps=5, input_shape=(784,), seed=seed)
    options = {"learning_rate": 0.1, "monitor": False, "data_init": True}
    model.pretrain(learnt, epochs=max(1, epochs // 2), **options)
    teach(model, learnt, epochs)
    return sampled(model, steps)


def teach(model, learnt, epochs):
    steps = epochs * len(learnt) // 100
    rate = keras.optimizers.schedules.PolynomialDecay(0.05, steps, 0.0)
    model.compile(keras.optimizers.SGD(rate))
    model.fit(learnt, batch_size=100, epochs=epochs, verbose=0)


def sampled(machine, steps):
    def fill(x):
        clamp = np.where(HIDDEN, np.nan, x).astype("float32")
        return machine.sample(len(x), steps, clamp=clamp, means=True)

    return fill, lambda noisy: machine.sample(len(noisy), 1, start=noisy, means=True)


def hopfield(learnt, *_):
    network = Hopfield("pseudo_inverse")
    network.store(signs(learnt[:STORED]))

    def fill(x):
        held = np.where(HIDDEN, np.nan, signs(x)).astype("float32")
        return (network.recall(np.where(HIDDEN, 0, signs(x)), clamp=held) + 1) / 2

    return fill, lambda noisy: (network.recall(signs(noisy)) + 1) / 2


def modern(learnt, *_):
    network, stored = ModernHopfield(beta=BETA), signs(learnt[:STORED])[None]

    def fill(x):
        query, key = (a[..., ~HIDDEN] for a in (signs(x)[None], stored))
        return (network([query, stored, key])[0] + 1) / 2

    return fill, lambda noisy: (network([signs(noisy)[None], stored])[0] + 1) / 2


def signs(x):
    return 2 * x - 1


METHODS = {
    "control": control,
    "rbm": rbm,
    "dbm": dbm,
    "hopfield": hopfield,
    "modern": modern,
}


def draw(figure, rows):
    """Some digits as each method completes them, and the errors of all."""
    ways = list(dict.fromkeys(row["way"] for row in rows))
    first = [row for row in rows if "tiles" in row]
    columns = {"original": first[0]["original"], "shown": first[0]["given"]}
    columns |= {row["way"].replace(" ", "\n"): row["tiles"] for row in first}
    figure.set_size_inches(11, 7.2)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.25])
    panels = left.subplots(1, len(columns))
    for axes, (title, text) in zip(panels, columns.items(), strict=True):
        axes.imshow(from_text(text), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, size=8)
    kinds = {
        "half_seen": "half of a digit\nthat was learnt",
        "noise_seen": "a digit that was\nlearnt, with noise",
        "half_unseen": "half of\na new digit",
        "noise_unseen": "a new digit\nwith noise",
    }
    places = [28 * DRAWN * (i + 0.5) for i in range(len(kinds))]
    panels[0].set_yticks(places, kinds.values(), rotation=90, va="center", size=8)
    for axes, name in zip(right.subplots(4, 1, sharex=True), kinds, strict=True):
        by_way(axes, rows, name, ways)
        axes.set_yticks(range(len(ways)), ways, size=8)
        axes.invert_yaxis()
        axes.set_title(kinds[name].replace("\n", " "), size=8, loc="left")
        axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("pixels that end up wrong, %")
