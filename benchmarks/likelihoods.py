"""Log-likelihoods of machines that learnt binarised MNIST, in nats.

    python benchmarks/likelihoods.py --images FOLDER [--choose] [--seeds 0 1 2]

FOLDER holds MNIST in its own format. Each pixel is drawn by its grey value: anew in
each epoch of training, once for the test images, alike for all machines. 500 hidden
units learn by SGD in batches of 100, at a rate that falls to 0 in a straight line, by

    cd1     one Gibbs step from the data
    cd25    k steps from the data, where k rises from 1 over 5 to 25
    pcd     one step of 100 persistent chains
    dbm     a deep machine with 1000 units more: its two layers are pre-trained and then
            learn as one, with 5 updates of mean field and 5 sweeps of 100 chains
    whole   the control of dbm: no pre-training, and as many epochs in all

and log Z is then estimated by annealed importance sampling. `--choose` learns by `pcd`
and `dbm` on the first 50 000 training images at several rates, with a seed of its own,
and measures on the other 10 000: `RATES` were chosen so, for restricted machines and
for deep ones. What is reported learns on all 60 000 and is measured on the test images;
of deep machines it is the mean-field bound. Their classifiers are fine-tuned on the
grey images and their labels, with Adam, and the row after has the test error in %. A
row is written after each machine, and those that are there already are not done again.
"""

import argparse
import json
import math
import sys
import time
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_dlparts.data import Idx
from keras_dlparts.layers import RBM
from keras_dlparts.models import DBM

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))
from studies import write  # noqa: E402  (the studies are no package)

RESULTS = ROOT / "benchmarks/results/mnist_likelihoods.json"
SCHEDULES = {  # (Gibbs steps, epochs), one after another
    "cd1": ((1, 10),),
    "cd25": ((1, 3), (5, 2), (25, 3)),
    "pcd": ((1, 25),),
}
# Epochs of each layer, of all layers as one, and of the classifier.
DEEP = {
    "dbm": {"layers": 2, "joint": 10, "fine_tuning": 3},
    "whole": {"layers": 0, "joint": 14, "fine_tuning": 3},
}
RATES = dict.fromkeys(SCHEDULES, 0.05) | dict.fromkeys(DEEP, 0.01)
TRIED = {"pcd": (0.025, 0.05, 0.1, 0.2), "dbm": (0.005, 0.01, 0.02)}
CHOOSING_SEED, CHOOSING_EPOCHS = 100, 6
UNITS, BATCH = 500, 100
# The more steps where the fewer end with a warning, or with a deviation above `SURE`.
AIS_STEPS, SURE = (2000, 20_000), 0.3


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--methods", nargs="+", default=[*RATES])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    train, test, labels = images(asked.images)
    settings = [(m, seed, RATES[m]) for seed in asked.seeds for m in asked.methods]
    if asked.choose:
        train, test = train[:50_000], train[50_000:]
        settings = [(m, CHOOSING_SEED, rate) for m in TRIED for rate in TRIED[m]]
    rows = json.loads(asked.out.read_text())["rows"] if asked.out.exists() else []
    for method, seed, rate in settings:
        split = "validation" if asked.choose else "test"
        row = {"method": method, "seed": seed, "rate": rate, "split": split}
        if any(row.items() <= done.items() for done in rows):
            continue
        if method in DEEP:
            found = deep(method, seed, rate, train, test, labels, asked.choose)
        else:
            found = [learnt(method, seed, rate, train, test)]
        for more in found:
            rows.append(row | more)
            print(rows[-1], flush=True)
            backend = keras.backend.backend()
            command = f"KERAS_BACKEND={backend} python benchmarks/likelihoods.py"
            write(asked.out, f"{command} --images FOLDER [--choose]", rows)


def images(folder):
    """Training and test images as rows of grey values in [0, 1], and their labels."""
    source = Idx(folder, validation_split=0.0)
    (train, y), (test, y_test) = source.train.arrays(), source.test.arrays()
    return *(np.reshape(x, (len(x), -1)) for x in (train, test)), (y, y_test)


def binarized(grey, random):
    return (random.random(grey.shape, "float32") < grey).astype("float32")


def learnt(method, seed, rate, train, test):
    """What a machine that has learnt says of images that it has not seen."""
    began = time.perf_counter()
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    persistent = method == "pcd"
    layer = RBM(UNITS, persistent=persistent, seed=seed, monitor=False, data_init=True)
    layer.adapt(train)
    model = keras.Sequential([keras.Input((train.shape[1],)), layer])
    epoch, epochs = 0, sum(count for _, count in SCHEDULES[method])
    optimizer = keras.optimizers.SGD(rate)
    for layer.k, count in SCHEDULES[method]:
        model.compile(optimizer)
        for _ in range(count):
            optimizer.learning_rate = rate * (1 - epoch / epochs)
            x = binarized(train, random)
            model.fit(x, batch_size=BATCH, epochs=1, verbose=0)
            epoch += 1
    seconds = time.perf_counter() - began
    told = {"steps_and_epochs": SCHEDULES[method], "training_seconds": round(seconds)}
    return told | measured(layer, layer.log_likelihood, x, test)


def measured(machine, log_likelihood, x, test):
    """log Z by what the machine learnt from, and the log-likelihood of test images."""
    began = time.perf_counter()
    for steps in AIS_STEPS:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimate = machine.log_partition("ais", steps=steps, data=x)
        if not caught and estimate.deviation < SURE:
            break
    shown = binarized(test, np.random.default_rng(0))
    each = ops.convert_to_numpy(log_likelihood(shown, estimate.value))
    return {
        "ais_steps": steps,
        "log_partition": estimate.value,
        "deviation": estimate.deviation if math.isfinite(estimate.deviation) else None,
        "warned": [str(w.message).split(":")[0] for w in caught],
        "log_likelihood": float(each.mean()),
        "standard_error_of_rows": float(each.std(ddof=1) / math.sqrt(len(each))),
        "ais_seconds": round(time.perf_counter() - began),
    }


def deep(method, seed, rate, train, test, labels, choose):
    """Two rows of a deep machine: the bound, and then its classifier's test error."""
    began, plan = time.perf_counter(), DEEP[method]
    if choose:
        plan = {**plan, "joint": CHOOSING_EPOCHS}
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    some = {"k": 5, "inference_steps": 5, "data_init": True, "seed": seed}
    model = DBM([UNITS, 2 * UNITS], input_shape=(784,), **some)
    x = binarized(train, random)
    model.machine.adapt(x)
    if plan["layers"]:
        some = {"batch_size": BATCH, "learning_rate": RATES["pcd"], "data_init": True}
        model.pretrain(x, plan["layers"], monitor=False, **some)
    optimizer = keras.optimizers.SGD(rate)
    model.compile(optimizer)
    for epoch in range(plan["joint"]):
        optimizer.learning_rate = rate * (1 - epoch / plan["joint"])
        x = binarized(train, random)
        model.fit(x, batch_size=BATCH, epochs=1, verbose=0)
    seconds = time.perf_counter() - began
    told = {"epochs": plan, "training_seconds": round(seconds)}
    yield told | measured(model, model.bound, x, test)
    if choose:
        return
    began = time.perf_counter()
    classifier = model.classifier(10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    steps = plan["fine_tuning"] * math.ceil(len(train) / BATCH)
    decay = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    classifier.compile(keras.optimizers.Adam(decay), loss)
    (y, y_test), epochs = labels, plan["fine_tuning"]
    classifier.fit(train, y, batch_size=BATCH, epochs=epochs, verbose=0)
    logits = classifier.predict(test, batch_size=1000, verbose=0)
    error = 100 * float((logits.argmax(axis=1) != y_test).mean())
    seconds = time.perf_counter() - began
    yield {"fine_tuning_seconds": round(seconds), "test_error_percent": error}


if __name__ == "__main__":
    main()
