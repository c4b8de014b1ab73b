"""`dlparts predict` and `dlparts export`, of a run and of a saved model."""

import re

import numpy as np
import pytest

from keras_dlparts import Run, backend, train
from keras_dlparts.backend import exports

CONFIG = {
    "data": {"use": "spirals", "samples": 60, "batch_size": 54},
    "model": [{"use": "Dense", "units": 2}],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": 1},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(CONFIG, out=tmp_path_factory.mktemp("runs"))


def test_predict_prints_a_row_a_sample(dlparts, run, tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    code, out, err = dlparts("predict", run.path, "--data", tmp_path / "x.csv")
    # TensorFlow's C++ libraries may remark on what they do, each line with its level,
    # and once a process on the log and on the processor.
    assert code == 0
    remark = "[IWE]0000 |WARNING: All log messages before|To enable the following"
    assert all(re.match(remark, line) for line in err.splitlines())
    head, *rows = out.splitlines()
    assert head == "y0,y1"
    x = np.array([[1, 2], [3, 4], [5, 6]], "float32")
    expected = run.model.predict(x, verbose=0)
    np.testing.assert_allclose(
        np.array([row.split(",") for row in rows], "float32"), expected, rtol=1e-6
    )
    np.testing.assert_array_equal(run.predict(x), expected)


def test_predict_writes_a_split_and_takes_a_model_file(dlparts, run, tmp_path):
    path = tmp_path / "y.npz"
    code, out, err = dlparts("predict", run.path, "--data", "validation", "--out", path)
    assert (code, out, err) == (0, "", f"outputs {path}\n")
    with np.load(path) as found:
        np.testing.assert_array_equal(found["y"], Run(run.path).predict("validation"))
        assert found["y"].shape == (6, 2)
    np.save(tmp_path / "x.npy", np.ones((1, 2)))
    model = run.path / "best.keras"
    assert dlparts("predict", model, "--data", tmp_path / "x.npy")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "none.npz"], "which is not there"),
        (["--data", "none.csv"], "or one of train, validation, test"),
        (["--data", "train", "--out", "y.txt"], "--out is a .csv or .npz file"),
    ],
)
def test_predict_says_what_is_wrong(dlparts, run, arguments, message):
    code, out, err = dlparts("predict", run.path, *arguments, width=500)
    assert (code, out) == (2, "")
    assert message in err


def test_models_that_are_not_there(dlparts, tmp_path):
    for command in (["predict", "--data", "train"], ["export"]):
        code, out, err = dlparts(*command, tmp_path / "no.keras", width=500)
        assert (code, out) == (2, "")
        assert "There is no model file" in err
        assert "a run is a folder" in dlparts(*command, tmp_path / "no", width=500)[2]


def test_export_says_what_is_wrong(dlparts, run, tmp_path):
    code, _, err = dlparts("export", run.path, "--format", "pickle")
    assert code == 2
    assert "saved_model, onnx, litert. Received: 'pickle'" in " ".join(err.split())
    if exports.lacking("onnx"):
        pytest.skip(exports.lacking("onnx"))
    code, _, err = dlparts(
        "export", run.path, "--format", "onnx", "--out", tmp_path / "m.bin", width=500
    )
    assert code == 2
    assert "ends in .onnx" in err


def test_export_writes_beside_the_model(dlparts, run):
    kind = "onnx" if backend.name() == "torch" else "saved_model"
    if exports.lacking(kind):
        pytest.skip(exports.lacking(kind))
    code, out, err = dlparts("export", run.path, "--format", kind, width=500)
    path = run.path / f"model.{kind}"
    assert (code, out, err) == (0, f"{kind} {path}\n", "")
    assert path.exists()
    other = run.export(run.path / "other" / path.name, kind)
    assert other.exists()
