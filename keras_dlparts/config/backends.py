"""The backend that a config runs on. It is chosen before Keras is imported."""

import functools
import importlib.metadata
import os

from keras_dlparts.config.errors import ConfigError
from keras_dlparts.support import keras_backend


def use_backend(document, wanted):
    """Run on the backend that a config asks for; note where that cannot be."""
    running = keras_backend.running()
    message = ""
    if running not in (None, wanted):
        message = (
            f"the config is for {wanted}, but Keras already runs on {running}; set "
            f"KERAS_BACKEND={wanted} before Python starts, or use the config in a new "
            "process (in a notebook: restart the kernel) before Keras is imported there"
        )
    elif not keras_backend.is_installed(wanted):
        message = f"{wanted} is not installed; pip install 'keras-dlparts[{wanted}]'"
    if message:
        document.problem(("backend",), message)
    elif running is None:
        os.environ["KERAS_BACKEND"] = wanted


def choose_backend(config, sets=()):
    """Choose the backend that a config asks for, if it can be read.

    For who is about to import Keras and loads the config afterwards. What is wrong
    with the config is told then, and not here.
    """
    from keras_dlparts.config.experiment import opened

    try:
        document, _ = opened(config, sets)
    except ConfigError:
        return
    wanted = document.values.get("backend")
    if isinstance(wanted, str) and wanted in keras_backend.BACKENDS:
        use_backend(document, wanted)


def require_backend():
    """Raise ImportError where no backend is installed at all."""
    if not any(map(keras_backend.is_installed, keras_backend.BACKENDS)):
        raise ImportError(
            "No Keras backend is installed. Install one: pip install "
            "'keras-dlparts[tensorflow]' (or [cpu], [gpu], [jax], [torch])"
        )


# The distributions that usually provide a backend's package.
_USUAL = {
    "jax": ("jax",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tf-nightly"),
    "torch": ("torch",),
}


@functools.cache
def backend_version(backend):
    """{distribution: version} of the package that provides a backend."""
    for name in _USUAL[backend]:
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if _provides(found, backend):
            return {found.name: found.version}
    # This reads the list of files of everything installed, which takes half a second.
    names = importlib.metadata.packages_distributions().get(backend, [])
    return {name: importlib.metadata.version(name) for name in sorted({*names})[:1]}


def _provides(distribution, package):
    """Whether a distribution has a package, and not only a name like it."""
    tops = distribution.read_text("top_level.txt")
    if tops is not None:
        return package in tops.split()
    files = distribution.read_text("RECORD") or ""
    return f"\n{package}/__init__.py," in f"\n{files}"
