"""A run of several workers: the folder that each of them writes.

The chief has the run's own. All workers do the same work on it, for reading a model's
state may need all of them; the others do it in copies of their own, which begin with
what the chief sends and are deleted in the end. So they need not see the chief's disk.
"""

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np

from keras_dlparts.distribute import launched, messages

# The files that a run needs to go on; models and pictures are written anew.
_SENT = ("*.json", "*.yaml", "*.toml", "*.csv", "checkpoints/*.npz")


def place(strategy, make):
    """The folder of this worker's run.

    Args:
        strategy: the run's strategy.
        make: makes or finds the run's folder; called on the chief.
    """
    index, workers = messages.place(strategy)
    if workers == 1:
        return make()
    runs = []

    def sent():
        runs.append(run := make())
        launched.tell_run(run)
        files = [path for pattern in _SENT for path in sorted(run.glob(pattern))]
        return run.name, {
            str(path.relative_to(run)): np.frombuffer(path.read_bytes(), "uint8")
            for path in files
        }

    name, files = messages.from_chief(strategy, sent)
    if index == 0:
        return runs[0]
    folder = tempfile.mkdtemp(prefix=f"worker-{index}-", dir=launched.folder())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = Path(folder, name)
    for file, content in files.items():
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        (copy / file).write_bytes(content.tobytes())
    return copy


def leave(strategy):
    """Wait until all workers have done their work: one that ends aborts the others."""
    messages.from_chief(strategy, lambda: None)
