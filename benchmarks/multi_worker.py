"""Examples a second of two worker processes over those of one, by model.

    python benchmarks/multi_worker.py [--rounds 9] [--models conv wide small]

Both set-ups take the same global batches. Each process has one thread for its
arithmetic; a third set-up is one process with as many threads as there are workers. All
processes live throughout and are asked in turn, so that whatever else the machine does
meets all of them. The loopback address is no network: of one, this says nothing.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from measuring import pairwise, write

WORKERS = 2
STEPS = {"conv": 3, "wide": 10, "small": 60}
BATCH = {"conv": 64, "wide": 256, "small": 128}


# --- what a process does ----------------------------------------------------------


def made(name):
    """A compiled model and its data."""
    import keras
    from keras import layers

    from keras_dlparts.data.batches import Batches
    from keras_dlparts.models import ResNet

    shape = (32, 32, 3) if name == "conv" else (784,)
    if name == "conv":
        model = ResNet(20)
    else:
        units = {"wide": 1024, "small": 64}[name]
        hidden = [layers.Dense(units, "relu") for _ in range(2)]
        model = keras.Sequential([keras.Input(shape), *hidden, layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss)
    count = BATCH[name] * (STEPS[name] + 1)
    random = np.random.default_rng(0)
    x = random.normal(size=(count, *shape)).astype("float32")
    return model, Batches(x, random.integers(0, 10, count), BATCH[name])


def work():
    """For each line `MODEL` of standard input: print what a step of it took."""
    import keras

    from keras_dlparts import distribute
    from keras_dlparts.distribute import cluster
    from keras_dlparts.distribute.shares import share

    several = cluster.find() is not None
    strategy = distribute.strategy("multi_worker" if several else "none")

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:  # the first waits for the data
                self.began = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            float(logs["loss"])  # what runs on in the background is waited for
            self.ended = time.perf_counter()

    models = {}
    with strategy.scope():
        for line in sys.stdin:
            name, clock = line.strip(), Clock()
            if name not in models:
                models[name] = made(name)
            model, batches = models[name]
            given = share(batches, strategy) if several else batches
            model.fit(given, shuffle=False, verbose=0, callbacks=[clock])
            seconds = (clock.ended - clock.began) / STEPS[name]
            said = {"seconds": seconds, "parameters": model.count_params()}
            print(json.dumps(said), flush=True)


# --- asking them ------------------------------------------------------------------


def started(threads, addresses=(), index=0):
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    names += ("NPROC",)
    told = {**os.environ, **dict.fromkeys(names, str(threads))}
    told["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if addresses:
        task = {"type": "worker", "index": index}
        config = {"cluster": {"worker": addresses}, "task": task}
        told["TF_CONFIG"] = json.dumps(config)
    return subprocess.Popen(
        [sys.executable, __file__, "--worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=told,
    )


def asked_of(processes, name):
    """What each of a set-up's processes says, the slowest last."""
    for process in processes:
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
    said = [json.loads(process.stdout.readline()) for process in processes]
    return max(said, key=lambda each: each["seconds"])


def measured(setups, name, rounds):
    for processes in setups.values():  # compiles
        asked_of(processes, name)
    took = {setup: [] for setup in setups}
    for i in range(rounds):
        for setup in [*setups] if i % 2 else [*setups][::-1]:
            said = asked_of(setups[setup], name)
            took[setup].append(said["seconds"])
    return {
        "what": f"examples a second of {WORKERS} workers / of one process, {name}",
        "batch": BATCH[name],
        "parameters": said["parameters"],
        "ratio": pairwise(took["one"], took["workers"]),
        f"ratio_to_one_process_of_{WORKERS}_threads": pairwise(
            took["threads"], took["workers"]
        ),
        "ms_a_step": {k: 1000 * statistics.median(v) for k, v in took.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--models", nargs="+", default=[*STEPS], choices=[*STEPS])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work()
        return
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(WORKERS)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in taken]
    setups = {
        "workers": [started(1, addresses, i) for i in range(WORKERS)],
        "one": [started(1)],
        "threads": [started(WORKERS)],
    }
    try:
        rows = [measured(setups, name, asked.rounds) for name in asked.models]
    finally:
        for processes in setups.values():
            for process in processes:
                process.kill()
    for row in rows:
        print(row)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    write(rows, f"multi_worker_{backend}", asked.out)


if __name__ == "__main__":
    main()
