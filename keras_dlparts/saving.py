"""Load a `.keras` file: its plugins are found, imported and nothing else is.

Keras deserialises only classes that are registered *and imported*. The names a
file needs stand in its `config.json`; each leads to the one plugin that provides
it. No code that the file itself brings along ever runs.
"""

import json
import zipfile
from pathlib import Path

from keras_dlparts import registry

_MAX_CONFIG_BYTES = 64 * 2**20


def load_model(path):
    """Load a model saved as `.keras`, the plugins it needs included.

    Args:
        path: path of a `.keras` file.

    Returns: the `keras.Model`, compiled if it was saved so.

    Raises:
        ValueError: the file is of another format, damaged, needs a part that no
            installed plugin provides, or needs `safe_mode=False`.

    Example:

    >>> import keras, tempfile, pathlib
    >>> from keras_dlparts.layers import RandomDropout
    >>> model = keras.Sequential([keras.Input((3,)), RandomDropout(0.5)])
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.keras"
    >>> model.save(path)
    >>> load_model(path).layers[0].rate
    0.5
    """
    path = Path(path)
    for name in sorted(_registered_names(_config(path))):
        _import_provider(name, path)
    import keras

    try:
        return keras.saving.load_model(path, safe_mode=True)
    except (ValueError, TypeError) as error:
        if "safe_mode" in str(error) or "unsafe" in str(error).lower():
            raise ValueError(
                f"{path} holds Python code (a Lambda or the like), which runs only "
                "with safe_mode=False. This is refused: whoever wrote the file could "
                "run anything. Write the code as a registered part instead."
            ) from error
        raise


def _config(path):
    """The parsed `config.json` of a `.keras` file."""
    if not path.exists():
        raise FileNotFoundError(f"There is no model file at {path}")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise ValueError(
            "A model is loaded from a `.keras` file; `.h5`, pickles and SavedModels "
            f"are refused, as they can run code. Received: {path}. "
            "Save the model again with `model.save('name.keras')`."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > _MAX_CONFIG_BYTES:
                raise ValueError(f"{path} is damaged: its config.json is too large")
            return json.loads(archive.read("config.json"))
    except (KeyError, zipfile.BadZipFile, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _registered_names(config):
    """The names `package>Name` of all parts in a saved config."""
    found, rest = set(), [config]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            name = value.get("registered_name")
            if isinstance(name, str) and ">" in name:
                found.add(name)
            rest += value.values()
        elif isinstance(value, list):
            rest += value
    return found


def _import_provider(name, path):
    """Import the plugin that registers a name with Keras."""
    package, _, short = name.partition(">")
    candidates = [p for p in registry.parts() if p.target.rpartition(":")[2] == short]
    candidates.sort(key=lambda part: part.vendor != package)
    failures = []
    for part in candidates:
        if _is_registered(name):
            break
        try:
            part.load()
        except registry.RegistryError as error:
            failures.append(str(error))
    if not _is_registered(name):
        raise ValueError(
            f"{path} needs {name!r}, which no installed plugin provides. Install the "
            "distribution it comes from, or import the module that defines it first. "
            + " ".join(failures)
        )


def _is_registered(name):
    from keras.saving import get_registered_object

    return get_registered_object(name) is not None
