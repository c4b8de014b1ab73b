"""The backend that a config runs on. It is chosen before Keras is imported."""

import functools
import importlib.metadata
import importlib.util
import os
import sys

BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


def use_backend(document, wanted):
    """Run on the wanted Keras backend, which is chosen before Keras is imported."""
    running = sys.modules["keras"].backend.backend() if "keras" in sys.modules else None
    if running is None:
        os.environ["KERAS_BACKEND"] = wanted
    elif running != wanted:
        document.problem(
            ("backend",),
            f"the config is for {wanted}, but Keras already runs on {running}; set "
            f"KERAS_BACKEND={wanted} before Python starts",
        )


def default_backend():
    """Choose an installed backend where nothing else does."""
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    for backend, module in BACKENDS.items():
        if importlib.util.find_spec(module):
            os.environ["KERAS_BACKEND"] = backend
            return
    raise ImportError(
        "No Keras backend is installed. Install one: "
        "pip install 'keras-dlparts[tensorflow]' (or [cpu], [gpu], [jax], [torch])"
    )


@functools.cache  # reads what every installed distribution says of itself
def backend_version(backend):
    """{distribution: version} of the package that provides a backend."""
    names = importlib.metadata.packages_distributions().get(BACKENDS[backend], [])
    return {name: importlib.metadata.version(name) for name in sorted({*names})[:1]}
