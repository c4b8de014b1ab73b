"""Half-hidden and noisy digits, completed by machines and by memories, side by side.

    python examples/completion.py FOLDER [--seeds 0 1 2]

FOLDER holds MNIST in its own format; its images are made binary at 0.5. A restricted
and a deep Boltzmann machine learn from 10 000 of them, two Hopfield networks store the
first 100 of these. Each is then shown digits that it has seen (which are stored) and
test digits that it has not:

    half     the lower half is hidden: the machines sample it with the rest clamped, the
             classical network is clamped too, the modern one looks up the whole
             pattern by the half that is shown
    noise    one pixel of ten is flipped: the machines go one Gibbs step, the networks
             recall

The error is the share of pixels that end up wrong, of the hidden ones or of all. As a
control, `mean` fills in what most of the 10 000 images have, or leaves the noise.
Writes `benchmarks/results/completion.json` and `docs/figures/completion.png`.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops
from studies import ROOT, save, write

from keras_dlparts.data import Idx
from keras_dlparts.layers import RBM, Hopfield, ModernHopfield
from keras_dlparts.models import DBM

LEARNT, STORED, SHOWN, STEPS, FLIPPED = 10_000, 100, 100, 200, 0.1
BETA = 0.05  # of the modern network, whose patterns differ in dozens of pixels
HIDDEN = np.arange(784) >= 392
NAMES = {
    "mean": "control",
    "rbm": "RBM",
    "dbm": "DBM",
    "hopfield": "Hopfield",
    "modern": "modern Hopfield",
}


def images(folder):
    """(10 000 to learn from, others), rows of 0 and 1."""
    source = Idx(folder, validation_split=0.0)
    found = source.train.arrays()[0][:LEARNT], source.test.arrays()[0][:SHOWN]
    return tuple((x.reshape(len(x), -1) > 0.5).astype("float32") for x in found)


def machines(x, seed):
    """An RBM and a DBM that have learnt x."""
    keras.utils.set_random_seed(seed)
    rbm = RBM(300, persistent=True, seed=seed, monitor=False, data_init=True)
    rbm.adapt(x)
    model = keras.Sequential([keras.Input((784,)), rbm])
    dbm = DBM([200, 200], k=2, inference_steps=5, input_shape=(784,), seed=seed)
    more = {"learning_rate": 0.1, "monitor": False, "data_init": True}
    dbm.pretrain(x, epochs=5, **more)
    steps = 10 * len(x) // 100
    for each in (model, dbm):
        decay = keras.optimizers.schedules.PolynomialDecay(0.05, steps, 0.0)
        each.compile(keras.optimizers.SGD(decay))
        each.fit(x, batch_size=100, epochs=10, verbose=0)
    return rbm, dbm


def memories(x):
    """A classical and a modern network that have stored the rows of x, of -1 and 1."""
    hopfield = Hopfield("pseudo_inverse")
    hopfield.store(x)
    return hopfield, ModernHopfield(beta=BETA)


def completed(models, mean, stored, x):
    """{method: what it makes of the rows of x with the lower half hidden}."""
    rbm, dbm, hopfield, modern = models
    clamp = np.where(HIDDEN, np.nan, x).astype("float32")
    found = {"mean": np.where(HIDDEN, mean > 0.5, x)}
    for name, machine in (("rbm", rbm), ("dbm", dbm)):
        found[name] = machine.sample(len(x), STEPS, clamp=clamp, means=True)
    signs, held = np.where(HIDDEN, 0, 2 * x - 1), 2 * clamp - 1
    found["hopfield"] = (hopfield.recall(signs, clamp=held) + 1) / 2
    query, key = (a[None, :, ~HIDDEN] for a in (signs, stored))
    found["modern"] = (modern([query, stored[None], key])[0] + 1) / 2
    return {name: ops.convert_to_numpy(y) for name, y in found.items()}


def denoised(models, stored, x):
    """{method: what it makes of the noisy rows of x}."""
    rbm, dbm, hopfield, modern = models
    found = {"mean": x}
    for name, machine in (("rbm", rbm), ("dbm", dbm)):
        found[name] = machine.sample(len(x), 1, start=x, means=True)
    signs = (2 * x - 1)[None]
    found["hopfield"] = (hopfield.recall(signs[0]) + 1) / 2
    found["modern"] = (modern([signs, stored[None]])[0] + 1) / 2
    return {name: ops.convert_to_numpy(y) for name, y in found.items()}


def study(folder, seed):
    """(rows of errors, pictures) of one seed."""
    learnt, test = images(folder)
    began = time.perf_counter()
    stored = 2 * learnt[:STORED] - 1
    models = *machines(learnt, seed), *memories(stored)
    seconds = round(time.perf_counter() - began)
    random, rows, pictures = np.random.default_rng(seed), [], []
    for kind, x in (("seen", learnt[:STORED]), ("unseen", test)):
        noisy = np.where(random.random(x.shape) < FLIPPED, 1 - x, x).astype("float32")
        half = np.where(HIDDEN, 0.5, x)
        tasks = {
            "half": (half, HIDDEN, completed(models, learnt.mean(0), stored, x)),
            "noise": (noisy, HIDDEN | ~HIDDEN, denoised(models, stored, noisy)),
        }
        for task, (shown, counted, found) in tasks.items():
            pictures.append((task, kind, x, shown, found))
            for name, y in found.items():
                wrong = ((y > 0.5) != (x > 0.5))[:, counted].mean()
                row = {"seed": seed, "task": task, "digits": kind, "method": name}
                rows.append({**row, "error": float(wrong)})
    return [*rows, {"seed": seed, "learning_seconds": seconds}], pictures


def draw(pictures, path, each=3):
    """A row a digit: the original, what is shown, and what each method makes of it."""
    from matplotlib.figure import Figure

    lines = [
        (f"{task}, {kind}", [x[i], shown[i], *(found[name][i] for name in NAMES)])
        for task, kind, x, shown, found in pictures
        for i in range(each)
    ]
    titles = ["original", "shown", *NAMES.values()]
    figure = Figure(figsize=(8, 13.5), layout="constrained")
    grid = figure.subplots(len(lines), len(titles))
    for (label, line), places in zip(lines, grid, strict=True):
        for image, axes in zip(line, places, strict=True):
            axes.imshow(image.reshape(28, 28), cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        places[0].set_ylabel(label, fontsize=8)
    for title, axes in zip(titles, grid[0], strict=True):
        axes.set_title(title, fontsize=9)
    save(figure, path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="of MNIST's files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = []
    for seed in asked.seeds:
        more, pictures = study(asked.folder, seed)
        rows += more
        print(*more, sep="\n", flush=True)
        if seed == asked.seeds[0]:
            draw(pictures, asked.out / "docs/figures/completion.png")
        seeds = " ".join(map(str, asked.seeds))
        write(
            asked.out / "benchmarks/results/completion.json",
            f"python examples/completion.py FOLDER --seeds {seeds}",
            rows,
        )


if __name__ == "__main__":
    main()
