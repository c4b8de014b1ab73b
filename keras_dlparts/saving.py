"""Load a `.keras` file, and import the plugins that it needs before.

Keras makes only objects of classes that are registered *and imported*. The names of
those that a file needs stand in its `config.json`, and each leads to the one plugin
that provides it. No other plugin is imported, and code that the file itself brings
along never runs.
"""

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from keras_dlparts import registry

if TYPE_CHECKING:
    import keras

_MAX_CONFIG_BYTES = 64 * 2**20
_BRINGS_CODE = ("__lambda__", "TFSMLayer", "TorchModuleWrapper")
# What reading a zip and the JSON in it may raise.
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError)
_DAMAGE += (KeyError, ValueError, RuntimeError)


def load_model(path: str | os.PathLike) -> "keras.Model":
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
    nodes = list(_nodes(_config(path)))
    # `keras.config.enable_unsafe_deserialization()` makes Keras run such code even
    # with `safe_mode=True`, so it is refused here.
    if any(node.get("class_name") in _BRINGS_CODE for node in nodes):
        raise ValueError(
            f"{path} brings Python code along (a Lambda or the like), which runs only "
            "with safe_mode=False. This is refused: whoever wrote the file could run "
            "anything. Write the code as a registered part instead."
        )
    for name in sorted({*filter(None, map(_registered_name, nodes))}):
        _import_provider(name, path)
    import keras

    try:
        return keras.saving.load_model(path, safe_mode=True)
    except Exception as error:
        # Keras' message quotes the whole config before and after the reason.
        reason = str(error).rpartition("Exception encountered: ")[2]
        reason = reason.partition(" Full object config:")[0]
        raise ValueError(f"{path} cannot be loaded: {reason}") from error


def _config(path):
    """The parsed `config.json` of a `.keras` file."""
    if not path.exists():
        raise FileNotFoundError(f"There is no model file at {path}")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        if path.suffix == ".keras" and _begins_as_zip(path):
            raise ValueError(
                f"{path} is damaged: its end is missing. Was it copied whole?"
            )
        raise ValueError(
            "A model is loaded from a `.keras` file; `.h5`, pickles and SavedModels "
            f"are refused, as they can run code. Received: {path}. "
            "Save the model again with `model.save('name.keras')`."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo("config.json").file_size
            config = size <= _MAX_CONFIG_BYTES and json.loads(
                archive.read("config.json")
            )
    except _DAMAGE as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(f"{path} is damaged: its config.json describes no model")
    return config


def _begins_as_zip(path):
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _nodes(config):
    """Every dict inside a saved config."""
    rest = [config]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            yield value
            rest += value.values()
        elif isinstance(value, list):
            rest += value


def _registered_name(node):
    """The name `package>Name` of the class or function that a dict stands for."""
    is_function = node.get("class_name") == "function"
    name = node.get("config" if is_function else "registered_name")
    return name if isinstance(name, str) and ">" in name else None


def _import_provider(name, path):
    """Import the plugin that registers a name with Keras.

    A part of the same name is tried first. A class that is no part itself, such as a
    base class or a helper, is registered when a part of the same vendor is imported.
    """
    package, _, short = name.partition(">")
    rivals = f"'{package}.{short}' is claimed by"
    failures = [line for line in registry.problems() if line.startswith(rivals)]
    likely = [
        (part.target.rpartition(":")[2] == short, part.vendor == package, part)
        for part in registry.parts()
        if not failures
    ]
    likely.sort(key=lambda row: row[:2], reverse=True)
    for same_name, same_vendor, part in likely:
        if _is_registered(name) or not (same_name or same_vendor):
            break
        try:
            part.load()
        except registry.RegistryError as error:
            failures.append(str(error))
    if not _is_registered(name):
        raise ValueError(
            f"{path} needs {name!r}, which no installed plugin provides. Install the "
            "distribution it comes from, or import the module that defines it first."
            + "".join(f"\n{line}" for line in failures)
        )


def _is_registered(name):
    from keras.saving import get_registered_object

    return get_registered_object(name) is not None
