"""Predictions from files and splits, and what goes out."""

import csv
import io
import json

import keras
import ml_dtypes
import numpy as np
import pytest
import yaml

from keras_dlparts import Run, train
from keras_dlparts.data import Csv, Parquet
from keras_dlparts.training import predicting


@pytest.fixture(scope="module")
def model():
    """y = 1 a + 10 b"""
    dense = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((2,)), dense])
    model.set_weights([np.array([[1.0], [10.0]], "float32")])
    return model


def run_of(folder, kind="digits", **source):
    """A run that was trained on such data, as far as a prediction looks at it."""
    data = {"use": f"dlparts.{kind}", **source}
    (folder / "resolved.yaml").write_text(yaml.safe_dump({"data": data, "model": []}))
    if kind in ("csv", "parquet"):
        table = {"csv": Csv, "parquet": Parquet}[kind](**source, validation_split=0)
        assert table.train is not None  # it was read
        (folder / "columns.json").write_text(json.dumps(table.columns))
    return Run(folder)


@pytest.mark.parametrize("text", ["1,2\n3,4\n", "a,b\n1,2\n3,4\n"])
@pytest.mark.parametrize("with_run", [True, False])
def test_columns_of_a_table(tmp_path, model, text, with_run):
    """All are features, where the model was not trained on a table."""
    path = tmp_path / "new.csv"
    path.write_text(text)
    y = predicting.predict(model, path, run_of(tmp_path) if with_run else None)
    np.testing.assert_allclose(y, [[21], [43]])


@pytest.mark.parametrize("text", ['"1","2"\n"3","4"\n', "\n1,2\n3,4\n"])
def test_a_first_row_of_numbers_is_no_header(tmp_path, model, text):
    path = tmp_path / "new.csv"
    path.write_text(text)
    np.testing.assert_allclose(predicting.predict(model, path), [[21], [43]])


@pytest.mark.parametrize("more", [{}, {"features": ["a", "b"]}, {"features": [0, -1]}])
@pytest.mark.parametrize("target", ["label", 1, -2])
@pytest.mark.parametrize(
    "text",
    [
        # The target may be there or not, and is no feature.
        "a,label,b\n1,no,2\n3,yes,4\n",
        "a,b\n1,2\n3,4\n",
        # In another order, and with columns that the model knows nothing of.
        "b,id,a\n2,x,1\n4,y,3\n",
    ],
)
def test_features_go_by_the_names_of_the_runs_table(
    tmp_path, model, more, target, text
):
    train, path = tmp_path / "train.csv", tmp_path / "new.csv"
    train.write_text("a,label,b\n0,yes,0\n0,no,0\n")
    path.write_text(text)
    run = run_of(tmp_path, "csv", path=str(train), target=target, **more)
    train.unlink()  # it need not be where the model is used
    y = predicting.predict(model, path, run)
    np.testing.assert_allclose(y, [[21], [43]])


def test_features_go_by_the_names_of_a_parquet_table(tmp_path, model):
    pq = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    train, path = tmp_path / "train.parquet", tmp_path / "new.csv"
    pq.write_table(pa.table({"a": [0], "b": [0], "label": ["no"]}), train)
    path.write_text("b,id,a\n2,x,1\n4,y,3\n")
    run = run_of(tmp_path, "parquet", path=str(train), target="label")
    np.testing.assert_allclose(predicting.predict(model, path, run), [[21], [43]])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_names_may_be_numbers(tmp_path, model, kind):
    train, path = tmp_path / f"train.{kind}", tmp_path / "new.csv"
    if kind == "csv":
        train.write_text("1,2,label\n0,0,no\n")
    else:
        pq = pytest.importorskip("pyarrow.parquet")
        pa = pytest.importorskip("pyarrow")
        pq.write_table(pa.table({"1": [0], "2": [0], "label": ["no"]}), train)
    run = run_of(tmp_path, kind, path=str(train), target="label")
    for text in ("1,2\n1,2\n3,4\n", "2,0, 1\n2,9,1\n4,9,3\n", "1,2.0\n3,4\n"):
        path.write_text(text)
        y = predicting.predict(model, path, run)
        np.testing.assert_allclose(y, [[21], [43]])
    path.write_text("1,5,20\n")
    with pytest.raises(ValueError, match=r"no 1, 2. Received: columns without names"):
        predicting.predict(model, path, run)


@pytest.mark.parametrize("text", ["1,7,2\n3,8,4\n", "1,2\n3,4\n"])
def test_columns_without_names_stand_as_in_training(tmp_path, model, text):
    train, path = tmp_path / "train.csv", tmp_path / "new.csv"
    train.write_text("0,1,0\n0,0,0\n")
    path.write_text(text)
    source = {"path": str(train), "target": 1, "header": False}
    y = predicting.predict(model, path, run_of(tmp_path, "csv", **source))
    np.testing.assert_allclose(y, [[21], [43]])


def test_categories_become_the_columns_that_they_were(tmp_path):
    train, path = tmp_path / "train.csv", tmp_path / "new.csv"
    train.write_text("colour,size,y\nred,1,0\nblue,2,1\n")
    source = {"path": str(train), "target": "y", "one_hot": "colour"}
    run = run_of(tmp_path, "csv", **source)
    same = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    path.write_text("size,colour\n7,blue\n8,red\n")
    found = predicting.predict(same, path, run)
    np.testing.assert_allclose(found, [[1, 0, 7], [0, 1, 8]])
    path.write_text("size,colour\n7,green\n")
    with pytest.raises(ValueError, match=r"one of blue, red\. Received: 'green'"):
        predicting.predict(same, path, run)


@pytest.mark.long
def test_a_trained_run_knows_its_columns(tmp_path):
    table, other = tmp_path / "table.csv", tmp_path / "other.csv"
    rows = [(f"{i % 7}", "red" if i % 2 else "blue", f"{i}") for i in range(20)]
    lines = {table: "size,colour,y", other: "y,colour,size"}
    for path, head in lines.items():
        cells = rows if path is table else [row[::-1] for row in rows]
        path.write_text("\n".join([head, *map(",".join, cells)]))
    data = {"use": "csv", "path": str(table), "target": "y", "one_hot": "colour"}
    config = {"data": data, "model": [{"use": "Dense", "units": 1}], "loss": "mse"}
    run = train(config | {"fit": {"epochs": 1}}, out=tmp_path / "runs", verbose=0)
    expected = run.predict(str(table))
    assert expected.shape == (20, 1)
    table.unlink()
    np.testing.assert_array_equal(run.predict(str(other)), expected)


def test_missing_features_and_a_run_without_columns_say_so(tmp_path, model):
    train, path = tmp_path / "train.csv", tmp_path / "new.csv"
    path.write_text("a,c\n1,2\n")
    train.write_text("a,b,label\n0,0,1\n")
    run = run_of(tmp_path, "csv", path=str(train), target="label")
    with pytest.raises(ValueError, match=r"has no b\. Received: the columns a, c"):
        predicting.predict(model, path, run)
    (tmp_path / "columns.json").unlink()
    with pytest.raises(ValueError, match=r"has no columns\.json.*train again"):
        predicting.predict(model, path, Run(tmp_path))


def test_arrays_of_a_file(tmp_path, model):
    x = np.array([[1, 2], [3, 4]], "float32")
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez(tmp_path / "image.npz", image=x, label=x)
    of_images = run_of(tmp_path, "npz", x="image")
    for name, run in (("x.npy", None), ("x.npz", None), ("image.npz", of_images)):
        y = predicting.predict(model, tmp_path / name, run)
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
    ("name", "text", "message"),
    [
        ("x.csv", "1,2,3\n", r"the shape \(2,\).*1 samples of shape \(3,\)"),
        ("x.csv", "a,b\n1,x\n", "must be a finite number"),
        ("x.csv", "1,\n3,4\n", "line 1: a cell must be a finite number"),
        ("x.txt", "1,2\n", r"\.csv, \.npz or \.npy"),
        ("x.npz", "1,2\n", "cannot be read as plain arrays"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, model, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        predicting.predict(model, path)


def test_a_split_needs_a_run_and_a_file_must_be_there(tmp_path, model):
    with pytest.raises(ValueError, match="without a run; give a file"):
        predicting.predict(model, "test")
    whole = {"data": {"use": "spirals", "validation_split": 0}, "model": ["Flatten"]}
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump(whole))
    with pytest.raises(ValueError, match="'validation'; there are train, test"):
        predicting.predict(model, "validation", Run(tmp_path))
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


def test_outputs_of_half_precision_are_written_as_numbers(tmp_path):
    y = np.array([[1.5, -2]], ml_dtypes.bfloat16)
    path = tmp_path / "of" / "mine" / "y.npz"  # in folders that are not there yet
    predicting.write(y, path)
    with np.load(path) as found:
        assert found["y"].dtype == "float32"
        np.testing.assert_array_equal(found["y"], [[1.5, -2]])
    assert predicting.write(y, None) == "y0,y1\n1.5,-2.0\n"
