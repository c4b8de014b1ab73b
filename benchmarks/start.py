"""The start of `dlparts train` on the digits, beside the same fit by hand.

    python benchmarks/start.py [--rounds 7]

What a user waits for, from the start of Python until the first epoch stands in a file:
`history.csv` of the run, and that of Keras' `CSVLogger` by hand. The epoch is 22 small
steps, which `dlparts train` takes in one call, so that it is the first moment at which
both have something to show. By hand is `import keras`, the digits of scikit-learn, the
same net, `compile` and `fit`. Each side is a process of its own, which is killed at
that moment, and the sides take turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import ROOT, pairwise, write

SIDES = "dlparts train", "by hand"
PATIENCE = 600  # seconds


def by_hand(file):
    """What a user of Keras writes."""
    import keras
    from sklearn.datasets import load_digits

    keras.utils.set_random_seed(0)
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    model.fit(
        x[:1350],
        y[:1350],
        batch_size=64,
        epochs=20,
        validation_data=(x[1350:1500], y[1350:1500]),
        callbacks=[keras.callbacks.CSVLogger(file)],
    )


def started(side):
    """(seconds until the first epoch stands in a file, peak memory in MB)."""
    with tempfile.TemporaryDirectory() as folder:
        if side == "by hand":
            command = [__file__, "--by-hand", f"{folder}/history.csv"]
            name = "history.csv"
        else:
            config = str(ROOT / "examples/digits.yaml")
            command = ["-m", "keras_dlparts", "train", config, "--out", folder]
            name = "*/history.csv"
        said = Path(folder, "said")
        start = time.perf_counter()
        with said.open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, *command], stdout=out, stderr=out, cwd=ROOT
            )
        try:
            while not _has_an_epoch(Path(folder), name):
                if child.poll() is not None or time.perf_counter() - start > PATIENCE:
                    raise RuntimeError(f"{side} failed:\n{said.read_text()[-2000:]}")
                time.sleep(0.005)
            took = time.perf_counter() - start
        finally:
            peak = _ended(child)
        return took, peak


def _ended(child):
    """Kill a process; its peak memory in MB."""
    if child.returncode is not None:  # it has ended by itself, and was waited for
        return None
    child.kill()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / 2**10


def _has_an_epoch(folder, name):
    """Whether a file has its head and a line that has ended."""
    return any(path.read_bytes().count(b"\n") > 1 for path in folder.glob(name))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--by-hand", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by_hand:
        by_hand(asked.by_hand)
        return
    found = {side: [] for side in SIDES}
    for n in range(asked.rounds + 1):
        for side in SIDES if n % 2 else SIDES[::-1]:
            found[side].append(started(side))
            print(side, found[side][-1], flush=True)
    # The first round reads the libraries from the disk.
    (seconds, peaks), (their_seconds, their_peaks) = (
        zip(*found[side][1:], strict=True) for side in SIDES
    )
    rows = [
        {
            "what": "dlparts train / by hand, clock",
            "ratio": pairwise(seconds, their_seconds),
            "seconds": [statistics.median(s) for s in (seconds, their_seconds)],
        },
        {
            "what": "dlparts train / by hand, memory",
            "ratio": pairwise(peaks, their_peaks),
            "peak_mb": [statistics.median(s) for s in (peaks, their_peaks)],
        },
    ]
    print(*rows, sep="\n")
    write(rows, "start", asked.out)


if __name__ == "__main__":
    main()
