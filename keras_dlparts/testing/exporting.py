"""What is asked of what runs without Keras. The docstring of a check is its rule.

A case says in `"not_exported"` what cannot be exported and why. The list is exact: what
it names must fail.
"""

import importlib.util
import os
import tempfile

import keras
import numpy as np

from keras_dlparts import backend
from keras_dlparts.backend import exports
from keras_dlparts.testing import general
from keras_dlparts.testing.cases import require
from keras_dlparts.testing.examples import alone

# Another runtime multiplies and sums in another order.
_CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def exports_as_a_saved_model(case):
    """TensorFlow computes the same from the SavedModel that is exported."""

    def run(path, x):
        import tensorflow as tf

        loaded = tf.saved_model.load(path)  # it must live for as long as it is used
        return [y.numpy() for y in keras.tree.flatten(loaded.serve(x))]

    _exports(case, "saved_model", run)


def exports_as_onnx(case):
    """ONNX Runtime computes the same from the file that the model is exported as."""

    def run(path, x):
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        # An input that the outputs do not depend on is left out of the file. A model
        # whose inputs were not declared takes floats.
        given = {
            one.name: value.astype("float32") if "float" in one.type else value
            for one, value in zip(
                session.get_inputs(), keras.tree.flatten(x), strict=False
            )
        }
        return session.run(None, given)

    _exports(case, "onnx", run)


def _saved_model_unasked():
    return exports.lacking("saved_model")


def _onnx_unasked():
    reason = exports.lacking("onnx")
    if not reason and not importlib.util.find_spec("onnxruntime"):
        reason = "onnxruntime is not installed, which runs what is exported"
    return reason


exports_as_a_saved_model.unasked = _saved_model_unasked
exports_as_onnx.unasked = _onnx_unasked
CHECKS = exports_as_a_saved_model, exports_as_onnx


def _exports(case, format, run):
    listed = case.not_exported
    reason = listed.get(format) or listed.get(f"{backend.name()} {format}")
    if f"{backend.name()} {format} not asked" in listed:
        return
    ours = alone(case)
    expected = general.predict(ours)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model" + exports.FORMATS[format][1])
        try:
            exports.export(ours.model, path, format)
            found = run(path, ours.x)
        except Exception as error:
            require(
                reason,
                f"The {format} cannot be written or run, {type(error).__name__}: "
                f"{error} If that is not the part's to change, say so in its case, as "
                f'"not_exported": {{"{format}": "why"}}.',
            )
            return
    require(
        not reason,
        f"Its case says that it cannot be exported as {format} ({reason}), and it can: "
        "take that out.",
    )
    for y, other in zip(expected, found, strict=True):
        require(
            np.shape(y) == np.shape(other) and np.allclose(y, other, **_CLOSE),
            f"The {format} computes something else: up to "
            f"{np.abs(np.asarray(y) - other).max(initial=0):.3g} apart.",
        )
