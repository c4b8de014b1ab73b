"""RBM against scikit-learn's BernoulliRBM at equal settings: time, quality, memory.

    python benchmarks/rbm.py [--rounds 3] [--sizes small large] [--systems ...]
    python benchmarks/rbm.py --plain      by `fit` on the arrays, not on `many_steps`
    python benchmarks/rbm.py --floor      beside the matrix products of a step alone

Equal settings: persistent contrastive divergence with one Gibbs step, as many chains as
a batch has rows, plain SGD, float32, the rows in their order. `small` is the digits,
64 x 100, batch 10; `large` 20 000 rows of 784 x 500, batch 100 (`--images FOLDER`: of
MNIST-format files; otherwise made of blobs). The other backends run in processes of
their own, interleaved with scikit-learn, round by round; a figure is the ratio within a
round. Seconds are those of further epochs after the first, which compiles; that one is
told beside. With `monitor` the figures of the logs are computed too. The size `gpu`,
8192 rows of 4096 x 4096, batch 1024, runs only where it is named.

The floor of a step are its five products of a batch with the weights or with a batch:
up, down, up again, and two for the gradient,

    5 x 2 x batch x visible x hidden operations

`--floor` times as many of these, compiled and without anything else, as the epochs have
steps; the share is their time over that of our epochs, in the same process, by turns.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from measuring import pairwise, process, write

# rows, visible, hidden, batch, learning rate, epochs timed
SIZES = {
    "small": (1797, 64, 100, 10, 0.05, 20),
    "large": (20_000, 784, 500, 100, 0.05, 2),
    "gpu": (8192, 4096, 4096, 1024, 0.01, 10),
}
SYSTEMS = ("scikit-learn", "tensorflow", "jax", "torch")


def data(size, images):
    """The rows, float32 in [0, 1]."""
    rows, visible = SIZES[size][:2]
    if size == "small":
        from sklearn.datasets import load_digits

        return (load_digits(return_X_y=True)[0] / 16).astype("float32")
    if images:
        from keras_dlparts.data import Idx

        x = Idx(images, validation_split=0.0).train.arrays()[0][:rows]
        x = x.reshape(rows, -1).astype("float32")
        return x / max(1.0, x.max())
    random = np.random.default_rng(0)
    centres = random.random((20, visible)) < 0.2
    noise = random.random((rows, visible)) < 0.1
    return (centres[random.integers(0, 20, rows)] ^ noise).astype("float32")


def score(x, W, b, c):
    """The mean pseudo-log-likelihood of rows, by one drawn unit each, the same ones."""
    random = np.random.default_rng(1)
    x = x[random.permutation(len(x))[:2000]].astype("float64")
    units = random.integers(0, x.shape[1], len(x))
    flipped = x.copy()
    flipped[range(len(x)), units] = 1 - flipped[range(len(x)), units]

    def free(v):
        return -v @ b - np.logaddexp(0, c + v @ W).sum(1)

    change = free(flipped) - free(x)
    return float((-x.shape[1] * np.logaddexp(0, -change)).mean())


def theirs(x, hidden, batch, rate, epochs):
    from sklearn.neural_network import BernoulliRBM

    # As many epochs as ours have in all; there is nothing to compile.
    options = {"batch_size": batch, "learning_rate": rate, "random_state": 0}
    model = BernoulliRBM(hidden, n_iter=epochs + 1, **options)
    start = time.perf_counter()
    model.fit(x)
    epoch = (time.perf_counter() - start) / (epochs + 1)
    weights = model.components_.T, model.intercept_visible_, model.intercept_hidden_
    return epoch, epoch, weights


def trainer(x, hidden, batch, rate, monitor, plain):
    """(layer, a function that trains it for some epochs and waits for the end)."""
    import keras

    from keras_dlparts import many_steps
    from keras_dlparts.layers import RBM

    layer = RBM(hidden, persistent=True, chains=batch, monitor=monitor, seed=0)
    model = keras.Sequential([keras.Input((x.shape[1],)), layer])
    model.compile(keras.optimizers.SGD(rate))
    given = {"x": x, "batch_size": batch}
    if not plain:
        given = {"x": many_steps(model, x, batch_size=batch, shuffle=False)}

    def train(count):
        start = time.perf_counter()
        model.fit(**given, epochs=count, shuffle=False, verbose=0)
        np.array(keras.ops.convert_to_numpy(layer.kernel))  # all is done
        return time.perf_counter() - start

    return layer, train


def ours(x, hidden, batch, rate, epochs, monitor, plain):
    import keras

    layer, train = trainer(x, hidden, batch, rate, monitor, plain)
    times = [train(1), train(epochs)]
    variables = layer.kernel, layer.visible_bias, layer.hidden_bias
    weights = [keras.ops.convert_to_numpy(w) for w in variables]
    return times[0], times[1] / epochs, weights


def products(x, hidden, batch):
    """A function that does the products of a number of steps, and waits for the end."""
    import keras
    from keras import ops

    from keras_dlparts import backend

    random = np.random.default_rng(0)
    v = ops.convert_to_tensor(x[:batch])
    W = ops.convert_to_tensor(random.normal(size=(x.shape[1], hidden)), "float32")

    def step(W):
        up = ops.matmul(v, W)
        down = ops.matmul(up, ops.transpose(W))
        again = ops.matmul(down, W)
        positive = ops.matmul(ops.transpose(v), up)
        negative = ops.matmul(ops.transpose(down), again)
        # Each product's result goes on into the next step, so that none is left out.
        return W + 1e-9 * (positive - negative)

    run = backend.compiled(step)

    def work(steps):
        start, found = time.perf_counter(), W
        for _ in range(steps):
            found = run(found)
        np.array(keras.ops.convert_to_numpy(found))
        return time.perf_counter() - start

    work(2)
    return work


def floor(size, rounds):
    """A row: the share of our epochs that their products alone would take."""
    import keras

    x = data(size, None)
    hidden, batch, rate, epochs = SIZES[size][2:]
    _, train = trainer(x, hidden, batch, rate, monitor=False, plain=False)
    train(1)
    work, steps = products(x, hidden, batch), epochs * (len(x) // batch)
    took, least = [], []
    for n in range(rounds):
        for side in (0, 1) if n % 2 else (1, 0):
            if side:
                took.append(train(epochs))
            else:
                least.append(work(steps))
    operations = 5 * 2 * batch * x.shape[1] * hidden
    return {
        "what": "time of a step's products alone / time of our step",
        "size": size,
        "system": keras.backend.backend(),
        "operations_a_step": operations,
        "operations_a_second": operations * steps / statistics.median(least),
        "ratio": pairwise(least, took),
    }


def one(system, size, monitor, images, plain):
    """Seconds of the first epoch and of a further one, quality and peak memory."""
    from keras_dlparts.training.log import peak_memory_mb

    x = data(size, images)
    hidden, batch, rate, epochs = SIZES[size][2:]
    if system == "scikit-learn":
        first, epoch, weights = theirs(x, hidden, batch, rate, epochs)
    else:
        first, epoch, weights = ours(x, hidden, batch, rate, epochs, monitor, plain)
    return {
        "first_epoch_seconds": first,
        "epoch_seconds": epoch,
        "pseudo_likelihood": score(x, *weights),
        "peak_mb": peak_memory_mb(),
    }


def elsewhere(system, size, monitor, images, plain):
    """`one` in a process of its own, on that backend."""
    backend = "tensorflow" if system == "scikit-learn" else system
    command = [sys.executable, __file__, "--one", system, "--sizes", size]
    command += ["--monitor"] if monitor else []
    command += ["--images", images] if images else []
    command += ["--plain"] if plain else []
    printed = process(command, KERAS_BACKEND=backend)["printed"]
    return json.loads(printed.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--sizes", nargs="+", choices=[*SIZES], default=["small", "large"]
    )
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=[*SYSTEMS])
    parser.add_argument("--images")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--floor", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--monitor", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        how = asked.monitor, asked.images, asked.plain
        print(json.dumps(one(asked.one, asked.sizes[0], *how)))
        return
    if asked.floor:
        import keras

        rows = [floor(size, asked.rounds) for size in asked.sizes]
        print(*rows, sep="\n")
        write(rows, f"rbm_floor_{keras.backend.backend()}", asked.out)
        return
    rows = []
    for size in asked.sizes:
        runs = [(SYSTEMS[0], False)]
        others = [system for system in asked.systems if system != SYSTEMS[0]]
        runs += [(system, m) for system in others for m in (False, True)]
        found = {run: [] for run in runs}
        for _ in range(asked.rounds):
            for system, monitor in runs:
                took = elsewhere(system, size, monitor, asked.images, asked.plain)
                found[system, monitor].append(took)
                print(size, system, monitor, took, flush=True)
        base = found[runs[0]]
        for (system, monitor), results in found.items():
            sides = {
                name: [[each[name] for each in side] for side in (base, results)]
                for name in ("epoch_seconds", "peak_mb")
            }
            rows.append(
                {
                    "size": size,
                    "system": system,
                    "monitor": monitor,
                    "times_faster": pairwise(*sides["epoch_seconds"]),
                    "memory_ratio": pairwise(*sides["peak_mb"][::-1]),
                    **{
                        name: statistics.median(result[name] for result in results)
                        for name in results[0]
                    },
                }
            )
    write(rows, "rbm_plain" if asked.plain else "rbm", asked.out)


if __name__ == "__main__":
    main()
