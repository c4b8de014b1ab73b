"""The sources that read files, on real files, good and bad."""

import gzip
import pickle
import struct

import numpy as np
import pytest

from keras_dlparts.data import Csv, Idx, KerasDataset, Npz, Spec, keras_dataset
from keras_dlparts.data.csv import has_names
from keras_dlparts.data.idx import read_idx, write_idx


def whole(source):
    return source.train.arrays()


# npz


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_npz_splits(tmp_path):
    x = np.arange(12.0).reshape(6, 2)
    path = save(
        tmp_path / "a.npz",
        x_train=x,
        y_train=x[:, 0],
        x_validation=x[:2],
        y_validation=x[:2, 0],
        x_test=x[:3],
        y_test=x[:3, 0],
    )
    source = Npz(path)
    np.testing.assert_array_equal(whole(source)[0], x)
    np.testing.assert_array_equal(source.validation.arrays()[1], [0, 2])
    np.testing.assert_array_equal(source.test.arrays()[0], x[:3])


def test_npz_own_names_and_several_inputs(tmp_path, monkeypatch):
    save(tmp_path / "a.npz", left=np.zeros((4, 2)), right=np.ones(4), label=np.ones(4))
    monkeypatch.chdir(tmp_path)
    source = Npz("a.npz", x=["left", "right"], y="label", validation_split=0)
    assert source.element_spec == (
        {"left": Spec((2,), "float64"), "right": Spec((), "float64")},
        Spec((), "float64"),
    )
    assert source.test is None
    assert whole(Npz("a.npz", x="left", y=None))[1] is None
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(whole(Npz("~/a.npz", x="left", y=None, validation_split=0))[0]) == 4


def test_npz_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="not there"):
        _ = Npz(tmp_path / "none.npz").train
    with pytest.raises(FileNotFoundError, match="a folder"):
        _ = Npz(tmp_path).train
    good = save(tmp_path / "a.npz", x=np.zeros((50, 20)), y=np.zeros(50))
    with pytest.raises(ValueError, match=r"no array 'label'. Received: x, y"):
        _ = Npz(good, y="label").train
    (tmp_path / "b.npz").write_bytes(good.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"cannot be read as an .npz"):
        _ = Npz(tmp_path / "b.npz").train
    damaged = bytearray(good.read_bytes())
    damaged[2000] ^= 1
    (tmp_path / "c.npz").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"cannot be read.*CRC"):
        _ = Npz(tmp_path / "c.npz").train
    objects = save(tmp_path / "d.npz", x=np.array([{}, 1], object))
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        _ = Npz(objects, y=None).train
    np.save(tmp_path / "e.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"use np\.savez"):
        _ = Npz(tmp_path / "e.npy").train
    single = save(tmp_path / "g.npz", x=np.float32(3), y=np.float32(4))
    with pytest.raises(ValueError, match=r"train: x .*first axis. .* single value, 3"):
        _ = Npz(single).train
    (tmp_path / "f.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read"):
        _ = Npz(tmp_path / "f.npz").train
    for bad in ({"x": None}, {"x": []}, {"y": 3}, {"path": 3}, {"path": ""}):
        with pytest.raises(TypeError, match="Received"):
            Npz(**{"path": good} | bad)


# csv


def table(tmp_path, text, name="a.csv", **arguments):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Csv(path, **{"target": "c", "validation_split": 0} | arguments)


def test_csv(tmp_path):
    text = '\ufeffa, b,c\r\n1,"2.5",0\r\n\r\n-3e1,4,1\r\n'
    x, y = whole(table(tmp_path, text, features=["a", "b"]))
    assert x.tolist() == [[1, 2.5], [-30, 4]]
    assert x.dtype == "float32"
    assert y.tolist() == [0, 1]
    assert y.dtype == "int32"


@pytest.mark.parametrize(
    ("arguments", "x", "y"),
    [
        ({"target": "b"}, [[1, 0], [3, 1]], [2.5, 4]),
        ({"target": ["c", "b"]}, [[1], [3]], [[0, 2.5], [1, 4]]),
        ({"target": ["c"], "features": "a"}, [[1], [3]], [[0], [1]]),
        ({"target": -1, "features": ["b", 0]}, [[2.5, 1], [4, 3]], [0, 1]),
        ({"target": None}, [[1, 2.5, 0], [3, 4, 1]], None),
    ],
)
def test_csv_columns(tmp_path, arguments, x, y):
    got = whole(table(tmp_path, "a,b,c\n1,2.5,0\n3,4,1\n", **arguments))
    assert got[0].tolist() == x
    assert got[1] is y is None or got[1].tolist() == y


def test_csv_without_header_and_with_test(tmp_path):
    table(tmp_path, "5;6;1.5\n", name="t.csv")
    source = table(
        tmp_path,
        "1;2;0\n3;4;1\n",
        header=False,
        delimiter=";",
        target=-1,
        test_path=tmp_path / "t.csv",
    )
    # One file's targets are no integers, so neither are the other's.
    assert source.element_spec[1] == Spec((), "float32")
    assert source.test.arrays()[0].tolist() == [[5, 6]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,0\n\n1,x,0\n", r"column 'b' must hold.*the word 'x' in line 4"),
        ("a,b,c\n1,,0\n", r"line 2: .*Received: '' in column 'b'"),
        ("a,b,c\n1,2,nan\n", r"line 2: .*Received: 'nan' in column 'c'"),
        ("a,b,c\n1,2,0\n1,2\n", r"line 3: a row must have 3 cells. Received: 2"),
        ("a,b,d\n1,2,0\n", r"no column 'c'. Received: a, b, d"),
        ("1,1,c\n1,2,0\n", r"line 1: columns must have different names"),
        ("c\n1\n", r"there must be a feature"),
        ("a,b,c\n", r"at least one row. Received: none"),
        ("", r"at least one row"),
        (b"\x93NUMPY\x00\x01", r"near line 1: must be text in UTF-8"),
        (b"a,c\n1,2\n\x00,1\n", r"column 'a'.*'\\x00' in line 3|near line 3"),
        ('a,c\n1,2\n"1,2\n', r"near line 3"),
    ],
)
def test_csv_errors(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        _ = table(tmp_path, text).train


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a;2\n1;2\n", True),
        ("1;2\n", False),
        ('"1";"2"\n', False),
        ('"1;2";3\n', True),
        ("1;\n", False),
        ("\n1_000;2\n", True),
        ("", False),
    ],
)
def test_a_first_row_with_a_word_names_the_columns(tmp_path, text, names):
    path = tmp_path / "table.csv"
    path.write_text(text)
    assert has_names(path, ";") is names


def test_csv_bad_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match="not there"):
        _ = Csv(tmp_path / "none.csv", target="c").train
    with pytest.raises(ValueError, match="`delimiter` must be one character"):
        Csv("a.csv", target="c", delimiter=", ")
    with pytest.raises(TypeError, match="`target` must be a column"):
        Csv("a.csv", target=1.5)
    with pytest.raises(TypeError, match="`features` must be a column"):
        Csv("a.csv", target=None, features=[])
    with pytest.raises(ValueError, match="feature and target at once"):
        _ = table(tmp_path, "a,c\n1,2\n", features=["a", "c"]).train


# idx


def mnist(folder, joint="-", zipped=False, n=6, test=True):
    images = np.arange(n * 6).reshape(n, 2, 3) * 5
    for split in ["train", "t10k"] if test else ["train"]:
        arrays = {"images-idx3": images, "labels-idx1": np.arange(n)}
        for kind, array in arrays.items():
            path = folder / f"{split}-{kind.replace('-', joint)}-ubyte"
            write_idx(path, array)
            if zipped:
                path.with_name(path.name + ".gz").write_bytes(
                    gzip.compress(path.read_bytes())
                )
                path.unlink()
    return images


@pytest.mark.parametrize("joint", ["-", "."])
@pytest.mark.parametrize("zipped", [True, False])
def test_idx_spellings(tmp_path, joint, zipped):
    images = mnist(tmp_path, joint, zipped)
    source = Idx(tmp_path, validation_split=0)
    x, y = whole(source)
    assert x.dtype == "float32"
    np.testing.assert_allclose(x[..., 0], images / 255, rtol=1e-6)
    assert y.dtype == "int32"
    assert y.tolist() == list(range(6))
    assert len(source.test.arrays()[0]) == 6


def test_idx_without_test_or_channel(tmp_path):
    mnist(tmp_path, test=False)
    source = Idx(tmp_path, channel_axis=False)
    assert source.test is None
    assert source.element_spec[0] == Spec((2, 3), "float32")


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")],
)
def test_idx_every_dtype(tmp_path, code, dtype):
    want = np.array([[1, 2, 3], [4, 5, 100]])
    path = tmp_path / "a"
    path.write_bytes(
        bytes([0, 0, code, 2]) + struct.pack(">II", 2, 3) + want.astype(dtype).tobytes()
    )
    np.testing.assert_array_equal(read_idx(path), want)


def test_idx_bad_files(tmp_path):
    mnist(tmp_path)
    images = tmp_path / "train-images-idx3-ubyte"
    good = images.read_bytes()
    for content, message in {
        b"\x01" + good[1:]: r"magic number.*Received: \[1, 0, 8, 3\]",
        good[:2] + b"\x07" + good[3:]: "magic number",
        b"": r"magic number.*Received: \[\]",
        good[:9]: "truncated within its header",
        good[:-1]: r"is truncated: shape \(6, 2, 3\) needs 52 bytes. Received: 51",
        good + b"\0": "has trailing bytes",
        # A header that claims four thousand million images.
        good[:4] + b"\xff" * 4 + good[8:]: "is truncated",
    }.items():
        images.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            _ = Idx(tmp_path).train
    write_idx(images, np.zeros(6))
    with pytest.raises(ValueError, match=r"uint8 in 3 dimension\(s\)"):
        _ = Idx(tmp_path).train
    write_idx(images, np.zeros((5, 2, 3)))
    with pytest.raises(ValueError, match=r"5 images in .*, 6 labels in"):
        _ = Idx(tmp_path).train
    images.unlink()
    with pytest.raises(FileNotFoundError, match="must hold train-images-idx3-ubyte"):
        _ = Idx(tmp_path).train
    zipped = tmp_path / "train-images-idx3-ubyte.gz"
    compressed = gzip.compress(good)
    damaged = compressed[:12] + b"\xff" * 4 + compressed[16:]
    for content in (compressed[:-12], damaged, good):
        zipped.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be unpacked"):
            _ = Idx(tmp_path).train


def test_idx_half_a_test_is_an_error(tmp_path):
    mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="must hold t10k-labels-idx1-ubyte"):
        _ = Idx(tmp_path).train


def test_idx_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"folder.*not there"):
        _ = Idx(tmp_path / "none").train
    with pytest.raises(TypeError, match=r"`path` must be a path. Received: path=None"):
        Idx(None)
    with pytest.raises(TypeError, match="`channel_axis` must be True or False"):
        Idx(tmp_path, channel_axis="last")


# keras


def test_keras_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"nothing is downloaded.*mnist\.load_data\(\)"
    ):
        _ = KerasDataset("mnist").train
    (tmp_path / "datasets").mkdir()
    arguments = keras_dataset.example(tmp_path / "datasets")
    del arguments["folder"]
    source = KerasDataset(**arguments, validation_split=0)
    assert source.element_spec[0] == Spec((4, 4, 1), "float32")
    assert whole(source)[0].max() == 1
    assert source.test.arrays()[1].dtype == "int32"


def test_keras_fashion_mnist(tmp_path):
    (tmp_path / "fashion-mnist").mkdir()
    images = mnist(tmp_path / "fashion-mnist", zipped=True)
    source = KerasDataset("fashion_mnist", tmp_path, validation_split=0)
    np.testing.assert_allclose(whole(source)[0][..., 0], images / 255, rtol=1e-6)
    (tmp_path / "fashion-mnist" / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-images"):
        _ = KerasDataset("fashion_mnist", tmp_path).train


@pytest.mark.parametrize("own_folder", [True, False])
@pytest.mark.parametrize(
    ("name", "folder", "label", "files", "test"),
    [
        (
            "cifar10",
            "cifar-10-batches-py",
            b"labels",
            [f"data_batch_{i}" for i in range(1, 6)],
            "test_batch",
        ),
        ("cifar100", "cifar-100-python", b"fine_labels", ["train"], "test"),
    ],
)
def test_keras_cifar(tmp_path, own_folder, name, folder, label, files, test):
    home = tmp_path / (folder + "-target") / folder if own_folder else tmp_path / folder
    home.mkdir(parents=True)
    for i, file in enumerate([*files, test]):
        images = np.full((2, 3, 32, 32), i, "uint8")
        images[:, 1] = 255  # green
        images[:, 0, 3, 4] = 51  # red, in row 3 and column 4
        batch = {b"data": images.reshape(2, -1), label: [i, i]}
        (home / file).write_bytes(pickle.dumps(batch))
    source = KerasDataset(name, tmp_path, validation_split=0)
    x, y = whole(source)
    assert x.shape == (2 * len(files), 32, 32, 3)
    assert (x[..., 1] == 1).all()
    np.testing.assert_allclose(x[:, 3, 4, 0], 0.2)
    np.testing.assert_allclose(x[:, 5, 7, 2] * 255, y)
    assert source.test.arrays()[1].tolist() == [len(files)] * 2


def test_keras_cifar_makes_nothing_but_arrays(tmp_path):
    home = tmp_path / "cifar-100-python"
    home.mkdir()

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (home / "train").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(ValueError, match=r"damaged.*is no array"):
        _ = KerasDataset("cifar100", tmp_path).train
    assert not (tmp_path / "ran").exists()
    (home / "train").write_bytes(b"\x80\x04")
    with pytest.raises(ValueError, match="damaged"):
        _ = KerasDataset("cifar100", tmp_path).train


def test_keras_california_housing(tmp_path):
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20.0)
    save(tmp_path / "california_housing.npz", x=x, y=y)
    source = KerasDataset("california_housing", tmp_path, validation_split=0)
    assert len(whole(source)[0]) == 16
    assert sorted([*whole(source)[1], *source.test.arrays()[1]]) == list(range(20))


def test_keras_unknown_name():
    with pytest.raises(ValueError, match="`name` must be one of mnist, fashion_mnist"):
        KerasDataset("imdb")
