"""Train example configs with two checkouts, and compare the weights bit by bit.

    python benchmarks/same_weights.py BEFORE AFTER [--epochs 3] [--out FILE]

A change that only rearranges the code must not change a number. Each config is trained
by both checkouts, in processes of their own and with the same packages. What is
compared are the weights in `last.keras` and the columns of `history.csv` that are no
times.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

CONFIGS = ("digits", "dbn", "clipping", "autoencoder", "diagonal_newton")
TIMES = {"seconds", "ms_per_step", "data_wait_share", "memory_mb"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--configs", nargs="+", default=CONFIGS)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.configs:
            runs = [
                train(checkout.resolve(), name, asked.epochs, Path(folder, side))
                for side, checkout in (("before", asked.before), ("after", asked.after))
            ]
            rows.append({"config": name, **compared(*runs)})
            print(rows[-1], flush=True)
    if asked.out:
        packages = ("keras", "tensorflow-cpu", "numpy")
        result = {
            "command": "python benchmarks/same_weights.py BEFORE AFTER "
            f"--epochs {asked.epochs}",
            "before": revision(asked.before),
            "after": revision(asked.after),
            "versions": {name: metadata.version(name) for name in packages},
            "rows": rows,
        }
        asked.out.write_text(json.dumps(result, indent=1) + "\n")
    if not all(row["weights_equal"] and row["history_equal"] for row in rows):
        sys.exit("the checkouts train to different numbers")


def train(checkout, name, epochs, folder):
    """The run directory of a config trained by the code of a checkout."""
    config = checkout / "examples" / f"{name}.yaml"
    out = folder / name
    command = [sys.executable, "-m", "keras_dlparts", "train", str(config)]
    command += ["--out", str(out), "--set", f"fit.epochs={epochs}"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    subprocess.run(
        command, env=environment, cwd=checkout, check=True, stdout=subprocess.DEVNULL
    )
    (run,) = out.iterdir()
    return run


def compared(before, after):
    """Whether two runs ended in the same weights and went through the same losses."""
    one, other = weights(before), weights(after)
    return {
        "arrays": len(one),
        "weights_equal": one == other,
        "history_equal": history(before) == history(after),
    }


def weights(run):
    """The bytes of each array of the model that a run has saved."""
    import h5py

    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tobytes()

    with (
        zipfile.ZipFile(run / "last.keras") as archive,
        archive.open("model.weights.h5") as file,
        h5py.File(file) as content,
    ):
        content.visititems(take)
    return found


def history(run):
    with open(run / "history.csv", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    return [
        {column: cell for column, cell in row.items() if column not in TIMES}
        for row in rows
    ]


def revision(checkout):
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout[
        :12
    ]


if __name__ == "__main__":
    main()
