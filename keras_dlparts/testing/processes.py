"""Load in a new process what was saved in this one: `load_elsewhere(cases)`.

Run as a module, this is that process: for each `I.keras` of a folder it writes
`I.json`, null or what went wrong.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_dlparts import backend
from keras_dlparts.testing import general
from keras_dlparts.testing.examples import Example


def load_elsewhere(cases):
    """Pairs of a case and what went wrong: an exception, text, or "" if nothing."""
    errors = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i, case in enumerate(cases):
            try:
                ours = general.trained(case)
                ours.model.save(folder / f"{i}.keras")
                inputs = keras.tree.flatten(ours.x)
                outputs = general.predict(ours)
                np.savez(
                    folder / f"{i}.npz",
                    **{f"x{j}": x for j, x in enumerate(inputs)},
                    **{f"y{j}": y for j, y in enumerate(outputs)},
                )
            except Exception as error:
                errors[i] = error
        process = None
        if len(errors) < len(cases):
            process = subprocess.run(
                [sys.executable, "-m", __name__, name],
                env={
                    **os.environ,
                    "KERAS_BACKEND": backend.name(),
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                },
                capture_output=True,
                text=True,
            )
        for i in range(len(cases)):
            answer = folder / f"{i}.json"
            if i in errors:
                continue
            if answer.exists():
                errors[i] = json.loads(answer.read_text())
            else:
                errors[i] = (
                    f"The new process ended with {process.returncode} before it "
                    f"loaded this model:\n{process.stderr[-2000:]}"
                )
    return [(case, errors[i]) for i, case in enumerate(cases)]


def _answer(path):
    """Load one saved model; "" or what went wrong."""
    from keras_dlparts import load_model

    try:
        model = load_model(path)
        with np.load(path.with_suffix(".npz")) as arrays:
            x = [arrays[key] for key in sorted(arrays, key=_number) if key[0] == "x"]
            y = [arrays[key] for key in sorted(arrays, key=_number) if key[0] == "y"]
        inputs = x if len(x) > 1 else x[0]
        ours = Example(model, inputs, None, [])
        general.same(y, general.predict(ours), "The outputs in a new process")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _number(key):
    return int(key[1:])


if __name__ == "__main__":
    for path in Path(sys.argv[1]).glob("*.keras"):
        path.with_suffix(".json").write_text(json.dumps(_answer(path)))
