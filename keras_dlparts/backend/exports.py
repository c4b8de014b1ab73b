"""A model as a file that runs without Keras: `export(model, path, format)`.

Keras' `model.export` does it. What is added: a model that was loaded and never called
is exported too, what is missing for a format is said before anything is written, and a
file that could not be written to its end does not stay.
"""

import contextlib
import importlib.util
import io
import logging
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Literal

import keras

from keras_dlparts.backend import keras_private
from keras_dlparts.backend.basics import name

# Keras' word for a format, and how the name of its file ends; no end for a folder.
FORMATS = {
    "saved_model": ("tf_saved_model", ""),
    "onnx": ("onnx", ".onnx"),
    "litert": ("litert", ".tflite"),
}
# The packages that a backend writes a format with. Where a format stands with other
# backends only, this backend cannot write it.
_NEEDS = {
    ("saved_model", "tensorflow"): (),
    ("saved_model", "jax"): ("tensorflow",),
    ("onnx", "tensorflow"): ("tf2onnx", "onnx"),
    ("onnx", "jax"): ("jax2onnx",),
    ("onnx", "torch"): ("onnx", "onnxscript"),
    ("litert", "tensorflow"): (),
}
_IN_EXTRA = ("tf2onnx", "onnx", "onnxscript")


def lacking(format: str) -> str:
    """Why the running backend cannot write a format here, and what to do; "" if it can.

    Args:
        format: `"saved_model"`, `"onnx"` or `"litert"`.
    """
    backends = [backend for one, backend in _NEEDS if one == format]
    if not backends:
        raise ValueError(
            f"`format` must be one of {', '.join(FORMATS)}. Received: {format!r}"
        )
    if name() not in backends:
        return (
            f"{format} is written by {' or '.join(backends)}. Received: the backend "
            f"{name()}; set KERAS_BACKEND to another one, or choose another format"
        )
    missing = [p for p in _NEEDS[format, name()] if not importlib.util.find_spec(p)]
    if not missing:
        return ""
    extra = "keras-dlparts[export]" if set(missing) <= {*_IN_EXTRA} else None
    return (
        f"{format} on {name()} needs {' and '.join(missing)}, which is not installed: "
        f"pip install '{extra or ' '.join(missing)}'"
    )


def export(
    model: keras.Model,
    path: str | os.PathLike,
    format: Literal["saved_model", "onnx", "litert"] = "saved_model",
) -> Path:
    """Write a model so that it runs without Keras, and without this library.

    Args:
        model: A built model.
        path: The file to write, a folder for `"saved_model"`. An export that is there
            already is replaced.
        format: `"saved_model"` (TensorFlow, TensorFlow Serving), `"onnx"` (ONNX
            Runtime and others) or `"litert"` (LiteRT on phones, also known as TFLite).

    Returns: the path.

    Raises:
        ValueError: the running backend cannot write the format, or not this model.
        ImportError: a package is missing.
    """
    reason = lacking(format)
    if reason:
        kind = ImportError if "pip install" in reason else ValueError
        raise kind(reason)
    path = Path(path)
    theirs, end = FORMATS[format]
    if end and path.suffix != end:
        raise ValueError(f"A file of {format} ends in {end}. Received: {path}")
    ours = not end and (path / "saved_model.pb").is_file()
    if path.is_dir() and any(path.iterdir()) and not ours:
        raise ValueError(
            "The path must be free, or hold what an export wrote. Received: the folder "
            f"{path}, which holds something else; name a path inside it"
        )
    if format == "onnx":
        _tell_of_states(model)
    _call_once(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the path, so that it can be moved there in one step.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        written = Path(folder, "model" + end)
        try:
            with _quietly():
                model.export(written, format=theirs, verbose=False)
        except Exception as error:
            said = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"{name()}'s exporter to {format} cannot write {model.name!r}: "
                f"{type(error).__name__}: {said}"
            ) from error
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(written, path)
    return path


def _tell_of_states(model):
    """Warn of layers whose state goes on from call to call: an ONNX file has none."""
    layers = keras_private.layers_in(model, include_self=False)
    stateful = [layer.name for layer in layers if getattr(layer, "stateful", False)]
    if stateful:
        warnings.warn(
            "A layer with `stateful=True` begins anew in each call of an ONNX file, "
            f"which keeps no state. Received: {', '.join(map(repr, stateful))}. Export "
            "a SavedModel to keep it",
            stacklevel=3,
        )


def _call_once(model):
    """Keras exports what was called once, since only then all is built."""
    if not model.built:
        raise ValueError(
            f"`model` must be built. Received: {model.name!r}; call it on data first"
        )
    if getattr(model, "inputs", None):
        # A Sequential model that was never called has inputs and no `input`.
        model(model.inputs[0] if isinstance(model, keras.Sequential) else model.input)
        return
    shape = (model.get_build_config() or {}).get("input_shape")
    if shape is None:
        raise ValueError(
            "`model` must say what it takes, as Sequential and Functional models do. "
            f"Received: a {type(model).__name__}, built on several inputs"
        )
    model(keras.Input(batch_shape=shape, dtype=model.input_dtype))


@contextlib.contextmanager
def _quietly():
    """Keep the converters' chatter back: they tell of deprecations and tracing."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
