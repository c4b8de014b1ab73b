"""Words and categories in `csv` and `parquet`, which read columns alike."""

import numpy as np
import pytest

from keras_dlparts.data import Csv, Parquet, Spec

pq = pytest.importorskip("pyarrow.parquet")
pa = pytest.importorskip("pyarrow")

FLOWERS = {
    "width": [1.5, 2.0, 3.25, 4.0],
    "color": ["red", "blue", "red", "green"],
    "petals": [5, 4, 5, 6],
    "kind": ["rose", "aster", "rose", "iris"],
}


def csv(folder, columns=FLOWERS, name="a", **arguments):
    rows = [columns, *zip(*columns.values(), strict=True)]
    path = folder / f"{name}.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return Csv(path, **{"target": "kind", "validation_split": 0} | arguments)


def parquet(folder, columns=FLOWERS, name="a", **arguments):
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table(columns), path)
    return Parquet(path, **{"target": "kind", "validation_split": 0} | arguments)


both = pytest.mark.parametrize("make", [csv, parquet])


@both
def test_words_are_classes(make, tmp_path):
    source = make(tmp_path, features="width")
    x, y = source.train.arrays()
    assert source.class_names == ["aster", "iris", "rose"]
    assert y.tolist() == [2, 0, 2, 1]
    assert source.element_spec == (Spec((1,), "float32"), Spec((), "int32"))
    assert x[:, 0].tolist() == FLOWERS["width"]
    names = ["rose", "iris", "aster"]
    given = make(tmp_path, features="width", class_names=names)
    assert given.train.arrays()[1].tolist() == [0, 2, 0, 1]


@both
def test_categories_are_one_hot(make, tmp_path):
    source = make(tmp_path, one_hot=["color", "petals"])
    want = [
        # width, blue, green, red, 4, 5, 6
        [1.5, 0, 0, 1, 0, 1, 0],
        [2.0, 1, 0, 0, 1, 0, 0],
        [3.25, 0, 0, 1, 0, 1, 0],
        [4.0, 0, 1, 0, 0, 0, 1],
    ]
    assert source.train.arrays()[0].tolist() == want


@both
def test_whole_numbers_are_classes(make, tmp_path):
    columns = {"a": [1.0, 2.0], "c": [3, 1]}
    source = make(tmp_path, columns, target="c")
    assert source.element_spec[1] == Spec((), "int32")
    assert source.class_names is None
    given = make(tmp_path, columns, target="c", class_names=["1", "3"])
    assert given.train.arrays()[1].tolist() == [1, 0]


@both
def test_the_test_file_is_read_by_the_names_of_the_first(make, tmp_path):
    test = {"width": [1.0], "color": ["red"], "petals": [4], "kind": ["iris"]}
    # In another order, and with fewer categories and another column.
    make(tmp_path, {"id": [7]} | dict(reversed(test.items())), name="t")
    path = next(tmp_path.glob("t.*"))
    source = make(tmp_path, one_hot="color", test_path=path)
    x, y = source.test.arrays()
    assert y.tolist() == [1]
    assert x[0].tolist() == [1, 0, 0, 1, 4]
    positions = {"features": [0, 2], "target": -1, "test_path": path}
    x, y = make(tmp_path, **positions).test.arrays()
    assert (x.tolist(), y.tolist()) == ([[1, 4]], [1])
    make(tmp_path, {"width": [1.0], "kind": ["iris"]}, name="t")
    with pytest.raises(ValueError, match=r"t\..*no column 'petals'"):
        _ = make(tmp_path, **positions).test
    make(tmp_path, dict(reversed(test.items())), name="t")
    for wrong, message in (
        ({"kind": ["lily"]}, "kind.*one of aster, iris, rose.*lily"),
        ({"color": ["pink"]}, "color.*blue, green, red.*pink"),
    ):
        make(tmp_path, test | wrong, name="t")
        with pytest.raises(ValueError, match=message):
            _ = make(tmp_path, one_hot="color", test_path=path).train


@both
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"(line 2|row 0): a feature must be.*'red' in column 'color'.*one_hot"),
        ({"one_hot": "kind"}, "`one_hot` must name features.*width, color, petals"),
        ({"one_hot": "size"}, "no column 'size'"),
        (
            {"target": ["kind", "petals"], "features": "width"},
            "words can be the only target.*column 'kind'",
        ),
        (
            {"features": "width", "class_names": ["rose", "iris"]},
            r"(line 3|row 1): .*one of rose, iris. Received: 'aster'",
        ),
        ({"target": None, "class_names": ["a"]}, "words of one target"),
        ({"class_names": ["a", "a"]}, "must be different"),
    ],
)
def test_bad_tables(make, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        _ = make(tmp_path, **arguments).train


def test_words_among_numbers_are_no_classes(tmp_path):
    columns = {"a": [1, 2, 3], "kind": [1, "x", 2]}
    with pytest.raises(ValueError, match="number '1' in line 2 and the word 'x'"):
        _ = csv(tmp_path, columns).train
    names = ["1", "2", "x"]
    given = csv(tmp_path, columns, class_names=names).train
    assert given.arrays()[1].tolist() == [0, 2, 1]
    with pytest.raises(
        ValueError, match=r"line 3: a cell must be a finite.*Received: ''"
    ):
        _ = csv(tmp_path, {"a": [1, 2], "kind": ["x", ""]}).train


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["A", "12", "B"], "'kind' must hold.*number '12' in line 3.*word 'A' in line"),
        (["nan", "bob", "eve"], "line 2: a cell must be a finite number.*'nan'"),
        (["bob", "eve", "inf"], "line 4: a cell must be a finite number.*'inf'"),
        (["1_000", "2", "3"], "number '2' in line 3 and the word '1_000' in line 2"),
        (["1", "2", "1e300"], "line 4: a cell must be a finite number of float32"),
    ],
)
def test_a_column_of_several_kinds_says_which(tmp_path, kinds, message):
    with pytest.raises(ValueError, match=message):
        _ = csv(tmp_path, {"a": [1, 2, 3], "kind": kinds}).train


@both
def test_an_empty_cell_is_no_category(make, tmp_path):
    columns = FLOWERS | {"color": ["red", "", "blue", "red"]}
    with pytest.raises(ValueError, match=r"(line 3|row 1): .*'color' must name a cat"):
        _ = make(tmp_path, columns, one_hot="color").train
    path = tmp_path / "n.parquet"
    pq.write_table(pa.table({"a": pa.array([1, None]), "y": [0, 1]}), path)
    with pytest.raises(ValueError, match=r"row 1: .*'a' must name a category.*'nan'"):
        _ = Parquet(path, "y", one_hot="a").train


def test_parquet_kinds(tmp_path):
    columns = {
        "a": pa.array([True, False]),
        "b": pa.array(["u", "v"]).dictionary_encode(),
        "kind": pa.array(["no", "yes"], pa.large_string()),
    }
    source = parquet(tmp_path, columns, one_hot="b")
    x, y = source.train.arrays()
    assert x.tolist() == [[1, 1, 0], [0, 0, 1]]
    assert y.tolist() == [0, 1]
    for lacks, message in (
        (pa.array([1.5, None]), "row 1.*nan"),
        (pa.array([1, None]), "row 1.*nan"),
        (pa.array([[1], [2]]), "list<.*in column 'b'"),
    ):
        with pytest.raises(ValueError, match=message):
            _ = parquet(tmp_path, columns | {"b": lacks}).train
    (tmp_path / "b.parquet").write_text("no")
    with pytest.raises(ValueError, match=r"cannot be read as Parquet"):
        _ = Parquet(tmp_path / "b.parquet", target="a").train
    with pytest.raises(FileNotFoundError, match=r"parquet source.*not there"):
        _ = Parquet(tmp_path / "c.parquet", target="a").train
    with pytest.raises(ValueError, match="at least one row"):
        _ = parquet(tmp_path, {"a": [], "kind": []}).train


def test_columns_that_are_left_out_may_be_of_any_type(tmp_path):
    columns = {
        "a": [1, 2],
        "day": pa.array([0, 1], pa.date32()),
        "price": pa.array([1, 2]).cast(pa.decimal128(21, 2)),
        "list": [[1], [2]],
        "none": pa.nulls(2),
        "kind": ["x", "y"],
    }
    x, y = parquet(tmp_path, columns, features="a").train.arrays()
    assert (x.tolist(), y.tolist()) == ([[1], [2]], [0, 1])
    for name in ("day", "price", "list", "none"):
        with pytest.raises(ValueError, match=f"'{name}'. Leave it out with `features`"):
            _ = parquet(tmp_path, columns, features=["a", name]).train


def test_booleans_may_lack(tmp_path):
    columns = {"a": [True, None], "kind": [0, 1]}
    with pytest.raises(ValueError, match=r"row 1: a cell must be .*'nan' in column 'a"):
        _ = parquet(tmp_path, columns).train


def test_columns_have_different_names(tmp_path):
    path = tmp_path / "a.parquet"
    columns = [pa.array([1, 2]) for _ in range(3)]
    pq.write_table(pa.Table.from_arrays(columns, names=["a", "a", "c"]), path)
    with pytest.raises(ValueError, match=r"must have different.*Received: a, a, c$"):
        _ = Parquet(path, "c").train


@both
def test_whole_numbers_beyond_int32_are_no_target(make, tmp_path):
    columns = {"a": [1, 2], "kind": [2**24 + 1, 2**31 - 1]}
    y = make(tmp_path, columns).train.arrays()[1]
    assert (y.dtype, y.tolist()) == ("int32", columns["kind"])
    for large in (2**31, -(2**40)):
        columns["kind"][1] = large
        with pytest.raises(
            ValueError, match=rf"(line 3|row 1): .*int32.*'{large}' in column 'kind'"
        ):
            _ = make(tmp_path, columns).train
        assert make(tmp_path, columns, target=None).train.arrays()[0].shape == (2, 2)
    y = make(tmp_path, columns | {"b": [0.5, 1]}, target=["kind", "b"]).train.arrays()
    assert y[1].dtype == "float32"


def test_pandas_writes_what_is_read(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(FLOWERS)
    frame.to_parquet(tmp_path / "p.parquet")
    arguments = {"target": "kind", "one_hot": "color", "validation_split": 0}
    ours = Parquet(tmp_path / "p.parquet", **arguments).train.arrays()
    theirs = csv(tmp_path, **arguments).train.arrays()
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])
