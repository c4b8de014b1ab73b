"""log Z of machines that learnt binarised MNIST: annealing from two starts, and one.

    python benchmarks/partition.py --images FOLDER [--seeds 0 1 2] [--out FILE]

FOLDER holds MNIST in its own format. For each seed the images are binarised once, each
pixel by its grey value, and two machines learn from all of them by CD-1, rate 0.05,
batch 100: 20 hidden units for 10 epochs, whose log Z is counted too, and 500 for 20.
Told are

    largest -F    of the training images and of a blank one: log Z is more than it
    biases alone  an estimate as published: annealing from the visible biases only
    ours          `log_partition("ais", data=x)`, and without data
    likelihood    of the test images, by ours

with 100 chains, and 5000 temperatures for ours, 10 000 for the other.
"""

import argparse
import math
import time
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import ops
from measuring import write

from keras_dlparts import backend
from keras_dlparts.data import Idx
from keras_dlparts.layers import RBM
from keras_dlparts.layers.energy import partition

MACHINES = (20, 10), (500, 20)  # hidden units, epochs
CHAINS = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = []
    for seed in asked.seeds:
        for units, epochs in MACHINES:
            rows.append(measured(asked.images, seed, units, epochs))
            print(rows[-1], flush=True)
            # After each: the next may take too long.
            write(rows, "partition", asked.out)


def measured(images, seed, units, epochs):
    random = np.random.default_rng(seed)
    x, test = (binarised(images, split, random) for split in ("train", "test"))
    keras.utils.set_random_seed(seed)
    layer = RBM(units, seed=seed, monitor=False)
    model = keras.Sequential([keras.Input((784,)), layer])
    model.compile(keras.optimizers.SGD(0.05))
    model.fit(x, batch_size=100, epochs=epochs, verbose=0)
    row = {"seed": seed, "units": units, "epochs": epochs}
    if units <= partition.MOST_UNITS:
        row["exact"] = layer.log_partition().value
    blank = np.concatenate([x[:10_000], np.zeros((1, 784), "float32")])
    row["largest_minus_F"] = -float(np.min(layer.free_energy(blank)))
    row["biases_alone"] = from_the_biases(layer, seed)
    began = time.perf_counter()
    row["ours"] = told(layer, x)
    row["seconds"] = round(time.perf_counter() - began, 1)
    row["ours_without_data"] = told(layer, None)
    likelihood = layer.log_likelihood(test, row["ours"]["value"])
    row["test_log_likelihood"] = float(np.mean(likelihood))
    return row


def binarised(images, split, random):
    source = Idx(images, validation_split=0.0)
    x = np.reshape(getattr(source, split).arrays()[0], (-1, 784))
    return (random.random(x.shape) < x / max(1.0, x.max())).astype("float32")


def told(layer, data):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value, deviation = layer.log_partition("ais", chains=CHAINS, data=data)
    said = [str(each.message).split(":")[0] for each in caught]
    finite = deviation if math.isfinite(deviation) else None
    return {"value": value, "deviation": finite, "warned": said}


def from_the_biases(layer, seed):
    """log Z from chains that all begin at the machine's own visible biases."""
    W, b, c = (
        ops.convert_to_tensor(w)
        for w in (layer.kernel, layer.visible_bias, layer.hidden_bias)
    )
    anneal = backend.compiled(partition.anneal, ("chains", "visible"))
    seed = keras.random.SeedGenerator(seed).next()
    steps = ops.cast(10_000, "int32")
    log_w, _ = anneal(W, b, c, b, seed, steps, chains=CHAINS, visible="bernoulli")
    log_w = ops.convert_to_numpy(log_w).astype("float64")
    w = np.exp(log_w - log_w.max())
    start = layer.units * math.log(2)
    start += np.logaddexp(0, ops.convert_to_numpy(b).astype("float64")).sum()
    deviation = w.std(ddof=1) / w.mean() / math.sqrt(CHAINS)
    value = start + log_w.max() + math.log(w.mean())
    return {"value": float(value), "deviation": float(deviation)}


if __name__ == "__main__":
    main()
