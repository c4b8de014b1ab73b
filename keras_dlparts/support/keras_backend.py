"""Which backend Keras starts on. It is chosen before Keras is imported, once a process.

    1. the one that a config asks for with `backend:`
    2. the environment variable KERAS_BACKEND
    3. `backend` in Keras' own file keras.json, if that one is installed
    4. the first of tensorflow, jax and torch that is installed

Keras itself knows 2, then 3, then TensorFlow. When it first starts it writes keras.json
with TensorFlow in it, whether that is installed or not: so a file that names a backend
which is not installed says nothing of what its user wants, and 4 decides.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

BACKENDS = ("tensorflow", "jax", "torch")  # also the names of their modules


def running() -> str | None:
    """The backend that Keras runs on; None while Keras is not imported."""
    return sys.modules["keras"].backend.backend() if "keras" in sys.modules else None


def is_installed(backend: str) -> bool:
    """Whether a backend can be imported. It is not imported for that."""
    return backend in sys.modules or importlib.util.find_spec(backend) is not None


def choose_installed() -> None:
    """Let Keras start on a backend that is installed, where nobody named one.

    Keras then reads the name from KERAS_BACKEND. Where its own choice is installed,
    where the variable is set, and where Keras runs already, nothing is changed.
    """
    if running() or os.environ.get("KERAS_BACKEND"):
        return
    asked = _in_keras_json() or BACKENDS[0]
    if asked in BACKENDS and not is_installed(asked):
        found = next(filter(is_installed, BACKENDS), None)
        if found is not None:
            os.environ["KERAS_BACKEND"] = found


def _in_keras_json():
    """The backend that Keras' own file names, or None."""
    home = Path(os.environ.get("KERAS_HOME") or Path("~", ".keras")).expanduser()
    try:
        return json.loads((home / "keras.json").read_text("utf-8")).get("backend")
    except (OSError, ValueError, AttributeError):  # none, or one that Keras refuses
        return None
