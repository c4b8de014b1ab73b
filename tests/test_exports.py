"""`backend.exports`: what Keras' `model.export` does not do by itself."""

import warnings

import keras
import numpy as np
import pytest

from keras_dlparts import backend
from keras_dlparts.backend import exports

tensorflow = pytest.mark.skipif(
    backend.name() != "tensorflow", reason="the contract asks the other backends"
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model that was loaded, and never called since."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    return path


@tensorflow
def test_a_loaded_model_is_exported_and_exported_anew(saved, tmp_path):
    x, model = np.ones((4, 3), "float32"), keras.saving.load_model(saved)
    import tensorflow as tf

    for _ in range(2):  # the second takes the place of the first
        path = exports.export(model, tmp_path / "new" / "folder", "saved_model")
        loaded = tf.saved_model.load(str(path))
        np.testing.assert_allclose(loaded.serve(x), model(x), rtol=1e-6)
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["folder"]


@tensorflow
@pytest.mark.long  # the converter takes seconds
def test_litert_computes_the_same(saved, tmp_path):
    interpreter = pytest.importorskip(
        "ai_edge_litert.interpreter", reason="LiteRT is not installed"
    )
    model, x = keras.saving.load_model(saved), np.ones((1, 3), "float32")
    path = exports.export(model, tmp_path / "model.tflite", "litert")
    run = interpreter.Interpreter(str(path)).get_signature_runner()
    (name,) = run.get_input_details()
    (y,) = run(**{name: x}).values()
    np.testing.assert_allclose(y, model(x), rtol=1e-5)


def test_an_onnx_file_keeps_no_state_and_says_so(tmp_path):
    """In its words only: each call of the file begins with the initial state."""
    if exports.lacking("onnx"):
        pytest.skip(exports.lacking("onnx"))
    for stateful in (True, False):
        layer = keras.layers.SimpleRNN(2, stateful=stateful, name="rnn", unroll=True)
        model = keras.Sequential([keras.Input(batch_shape=(2, 3, 1)), layer])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            exports.export(model, tmp_path / "model.onnx", "onnx")
        told = [one for one in caught if "begins anew in each call" in str(one.message)]
        assert ["'rnn'" in str(one.message) for one in told] == [True] * stateful


def test_folders_that_hold_something_else_are_kept(saved, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    model = keras.saving.load_model(saved)
    kind = "onnx" if backend.name() == "torch" else "saved_model"
    path = tmp_path if kind == "saved_model" else tmp_path.with_suffix(".onnx")
    path.mkdir(exist_ok=True)
    (path / "notes.txt").write_text("mine")
    if exports.lacking(kind):
        pytest.skip(exports.lacking(kind))
    with pytest.raises(ValueError, match="holds something else"):
        exports.export(model, path, kind)
    assert (path / "notes.txt").read_text() == "mine"


def test_what_is_missing_or_impossible_is_said_before_anything_is_written(
    saved, tmp_path, monkeypatch
):
    model = keras.saving.load_model(saved)
    with pytest.raises(ValueError, match="saved_model, onnx, litert"):
        exports.export(model, tmp_path / "a", "pickle")
    if backend.name() != "tensorflow":
        with pytest.raises(ValueError, match="litert is written by tensorflow"):
            exports.export(model, tmp_path / "a.tflite", "litert")
    needed = "jax2onnx" if backend.name() == "jax" else "onnx"
    monkeypatch.setattr(exports.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=rf"needs .*{needed}.*pip install"):
        exports.export(model, tmp_path / "a.onnx", "onnx")
    monkeypatch.undo()
    if not exports.lacking("onnx"):
        with pytest.raises(ValueError, match=r"ends in \.onnx"):
            exports.export(model, tmp_path / "a.bin", "onnx")
    assert list(tmp_path.iterdir()) == []


@tensorflow
def test_a_model_that_cannot_be_exported_names_itself_and_leaves_nothing(tmp_path):
    class Odd(keras.layers.Layer):
        def compute_output_shape(self, input_shape):
            return input_shape

        def call(self, x):
            raise RuntimeError("not in a graph")

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Odd()(inputs), name="odd_one")
    with pytest.raises(ValueError, match=r"cannot write 'odd_one': RuntimeError"):
        exports.export(model, tmp_path / "model", "saved_model")
    assert list(tmp_path.iterdir()) == []
