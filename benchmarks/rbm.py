"""RBM against scikit-learn's BernoulliRBM at equal settings: time, quality, memory.

    python benchmarks/rbm.py [--rounds 3] [--sizes small large] [--systems ...]

Equal settings: persistent contrastive divergence with one Gibbs step, as many chains as
a batch has rows, plain SGD, float32, the rows in their order. `small` is the digits,
64 x 100, batch 10; `large` 20 000 rows of 784 x 500, batch 100 (`--images FOLDER`: of
MNIST-format files; otherwise made of blobs). The other backends run in processes of
their own, interleaved with scikit-learn, round by round; a figure is the ratio within a
round. Seconds are those of further epochs after the first, which compiles; that one is
told beside. With `monitor` the figures of the logs are computed too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

# rows, visible, hidden, batch, learning rate, epochs timed
SIZES = {
    "small": (1797, 64, 100, 10, 0.05, 20),
    "large": (20_000, 784, 500, 100, 0.05, 2),
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


def ours(x, hidden, batch, rate, epochs, monitor):
    import keras

    from keras_dlparts.data.batches import Batches
    from keras_dlparts.layers import RBM
    from keras_dlparts.training import chunks

    layer = RBM(hidden, persistent=True, chains=batch, monitor=monitor, seed=0)
    model = keras.Sequential([keras.Input((x.shape[1],)), layer])
    model.compile(keras.optimizers.SGD(rate))
    batches = Batches(x, batch_size=batch)
    steps = chunks.steps_a_call(model, batches)
    prepared, times = chunks.prepared(model, batches, steps), []
    for count in (1, epochs):
        start = time.perf_counter()
        model.fit(prepared, epochs=count, shuffle=False, verbose=0)
        np.array(keras.ops.convert_to_numpy(layer.kernel))  # all is done
        times.append(time.perf_counter() - start)
    variables = layer.kernel, layer.visible_bias, layer.hidden_bias
    weights = [keras.ops.convert_to_numpy(w) for w in variables]
    return times[0], times[1] / epochs, weights


def one(system, size, monitor, images):
    """Seconds of the first epoch and of a further one, quality and peak memory."""
    from keras_dlparts.training.log import peak_memory_mb

    x = data(size, images)
    hidden, batch, rate, epochs = SIZES[size][2:]
    if system == "scikit-learn":
        first, epoch, weights = theirs(x, hidden, batch, rate, epochs)
    else:
        first, epoch, weights = ours(x, hidden, batch, rate, epochs, monitor)
    return {
        "first_epoch_seconds": first,
        "epoch_seconds": epoch,
        "pseudo_likelihood": score(x, *weights),
        "peak_mb": peak_memory_mb(),
    }


def elsewhere(system, size, monitor, images):
    """`one` in a process of its own, on that backend."""
    backend = "tensorflow" if system == "scikit-learn" else system
    command = [sys.executable, __file__, "--one", system, "--sizes", size]
    command += ["--monitor"] if monitor else []
    command += ["--images", images] if images else []
    found = subprocess.run(
        command,
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(found.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", choices=[*SIZES], default=[*SIZES])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=[*SYSTEMS])
    parser.add_argument("--images")
    parser.add_argument("--out", default="rbm", help="the name of the results")
    parser.add_argument("--one", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--monitor", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked.one, asked.sizes[0], asked.monitor, asked.images)))
        return
    rows = []
    for size in asked.sizes:
        runs = [(SYSTEMS[0], False)]
        others = [system for system in asked.systems if system != SYSTEMS[0]]
        runs += [(system, m) for system in others for m in (False, True)]
        found = {run: [] for run in runs}
        for _ in range(asked.rounds):
            for run in runs:
                found[run].append(elsewhere(run[0], size, run[1], asked.images))
                print(size, *run, found[run][-1], flush=True)
        base = [result["epoch_seconds"] for result in found[runs[0]]]
        for (system, monitor), results in found.items():
            epochs = [result["epoch_seconds"] for result in results]
            ratios = [a / b for a, b in zip(base, epochs, strict=True)]
            rows.append(
                {
                    "size": size,
                    "system": system,
                    "monitor": monitor,
                    "times_faster_than_scikit_learn": statistics.median(ratios),
                    "least_and_most": [min(ratios), max(ratios)],
                    **{
                        name: statistics.median(result[name] for result in results)
                        for name in results[0]
                    },
                }
            )
    from studies import ROOT, write

    command = f"python benchmarks/rbm.py --rounds {asked.rounds}"
    command += f" --sizes {' '.join(asked.sizes)} --systems {' '.join(asked.systems)}"
    command += " --images FOLDER" if asked.images else ""
    write(ROOT / f"benchmarks/results/{asked.out}.json", command, rows)


if __name__ == "__main__":
    main()
