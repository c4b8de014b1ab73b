"""Predictions from files and splits, and what goes out."""

import csv
import io

import keras
import numpy as np
import pytest

from keras_dlparts.training import predicting

SOURCE = {"use": "dlparts.csv", "target": "label", "features": None, "header": True}


@pytest.fixture(scope="module")
def model():
    """y = 1 a + 10 b"""
    dense = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((2,)), dense])
    model.set_weights([np.array([[1.0], [10.0]], "float32")])
    return model


@pytest.mark.parametrize(
    ("name", "text", "config"),
    [
        ("plain.csv", "1,2\n3,4\n", None),
        ("named.csv", "a,b\n1,2\n3,4\n", None),
        # The target may be there or not, and is no feature.
        ("all.csv", "a,label,b\n1,no,2\n3,yes,4\n", {"data": SOURCE}),
        ("without.csv", "a,b\n1,2\n3,4\n", {"data": SOURCE}),
        # By name, in the order of the training data.
        (
            "turned.csv",
            "b,c,a\n2,9,1\n4,9,3\n",
            {"data": SOURCE | {"features": ["a", "b"]}},
        ),
        # The run's data was of another kind: nothing is taken from it.
        ("other.csv", "1,2\n3,4\n", {"data": {"use": "digits"}}),
    ],
)
def test_columns_of_a_table(tmp_path, model, name, text, config):
    path = tmp_path / name
    path.write_text(text)
    y = predicting.predict(model, path, config)
    np.testing.assert_allclose(y, [[21], [43]])


def test_arrays_of_a_file(tmp_path, model):
    x = np.array([[1, 2], [3, 4]], "float32")
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez(tmp_path / "image.npz", image=x, label=x)
    npz = {"data": {"use": "npz", "x": "image"}}
    for name, config in (("x.npy", None), ("x.npz", None), ("image.npz", npz)):
        y = predicting.predict(model, tmp_path / name, config)
        np.testing.assert_allclose(y, [[21], [43]])
    with pytest.raises(ValueError, match=r"as x\. Received: an \.npz of image, label"):
        predicting.predict(model, tmp_path / "image.npz")


def test_rows_take_the_shape_of_an_image_and_inputs_their_names(tmp_path):
    image, number = keras.Input((2, 2, 1), name="image"), keras.Input((1,), name="n")
    flat = keras.layers.Flatten()(image)
    (tmp_path / "x.csv").write_text("1,2,3,4\n5,6,7,8\n")
    y = predicting.predict(keras.Model(image, flat), tmp_path / "x.csv")
    np.testing.assert_array_equal(y, [[1, 2, 3, 4], [5, 6, 7, 8]])
    both = keras.Model([image, number], {"flat": flat, "number": number * 2})
    given = {"image": np.ones((3, 2, 2, 1)), "n": np.ones((3, 1))}
    np.savez(tmp_path / "x.npz", **given)
    y = predicting.predict(both, tmp_path / "x.npz")
    assert predicting.write(y, None).splitlines()[:2] == [
        "flat0,flat1,flat2,flat3,number",
        "1.0,1.0,1.0,1.0,2.0",
    ]


@pytest.mark.parametrize(
    ("name", "text", "config", "message"),
    [
        ("x.csv", "1,2,3\n", None, r"the shape \(2,\).*1 samples of shape \(3,\)"),
        ("x.csv", "a,b\n1,x\n", None, "must be a finite number"),
        ("x.csv", "a,b\n1,2\n", {"data": SOURCE | {"one_hot": ["a"]}}, "as an .npz"),
        ("x.csv", "a,c\n1,2\n", {"data": SOURCE | {"features": ["a", "b"]}}, "'b'"),
        ("x.txt", "1,2\n", None, r"\.csv, \.npz or \.npy"),
        ("x.npz", "1,2\n", None, "cannot be read as plain arrays"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, model, name, text, config, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        predicting.predict(model, path, config)


def test_a_split_needs_a_run_and_a_file_must_be_there(tmp_path, model):
    with pytest.raises(ValueError, match="without a run; give a file"):
        predicting.predict(model, "test")
    whole = {"data": {"use": "spirals", "validation_split": 0}, "model": ["Flatten"]}
    with pytest.raises(ValueError, match="'validation'; there are train, test"):
        predicting.predict(model, "validation", whole)
    with pytest.raises(FileNotFoundError, match="or one of train, validation, test"):
        predicting.predict(model, str(tmp_path / "none.csv"))


def test_outputs_are_written_as_rows_or_arrays(tmp_path):
    y = np.arange(12, dtype="float32").reshape(2, 3, 2)
    predicting.write(y, tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as found:
        np.testing.assert_array_equal(found["y"], y)
    predicting.write([y, y[:, 0, 0]], tmp_path / "y.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "y.csv").read_text())))
    assert rows[0] == [*(f"y0_{i}" for i in range(6)), "y1"]
    np.testing.assert_array_equal(np.array(rows[2], "float32"), [*y[1].ravel(), 6])
    with pytest.raises(ValueError, match=r"\.csv or \.npz"):
        predicting.write(y, tmp_path / "y.txt")
