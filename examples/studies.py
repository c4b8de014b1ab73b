"""What the studies share: train a config in this process, write down what came out."""

import importlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fitted(config, sets=()):
    """(history, what was assembled) of a config, trained without a run directory.

    The weights are those that `keras_dlparts.train` ends with.
    """
    from keras_dlparts.config import load
    from keras_dlparts.training.session import Session

    with Session(load(config, sets)) as session:
        session.prepare()
        session.restore()
        return session.fit().history, session.made


def write(path, command, rows):
    """Results with the command, the versions and the machine's shape."""
    import keras

    from keras_dlparts.backend import accelerators
    from keras_dlparts.support.files import write_json

    backend = keras.backend.backend()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = {"cores": os.cpu_count(), "memory_gib": round(memory)}
    if found := accelerators():
        machine["accelerators"] = found
    result = {
        "command": command,
        "versions": {
            "python": platform.python_version(),
            "keras": version("keras"),
            backend: importlib.import_module(backend).__version__,
        },
        "machine": machine,
        "rows": rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, _rounded(result))  # whole or not at all


def save(figure, path, **options):
    """Save a figure; the same one gives the same SVG."""
    import matplotlib

    path.parent.mkdir(parents=True, exist_ok=True)
    same = {"metadata": {"Date": None}} if path.suffix == ".svg" else {}
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, **same, **options)


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        # Settings stay as they were given, so that a row is known by them.
        return {k: v if k == "settings" else _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
