"""`images`: a folder a class, held against Keras' own reading."""

import shutil

import keras
import numpy as np
import pytest

from keras_dlparts.data import ImageFolder, Spec, image_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of two classes, some in a folder below, and files that are none."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in (
        "b/2.png",
        "b/1.PNG",
        "a/deep/3.png",
        "a/10.PNG",
        "a/9.png",
        "c/1.png",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (6, 8, 3), "uint8")
        keras.utils.save_img(
            path, pixels, scale=False, file_format=path.suffix[1:].lower()
        )
    (root / "a" / "notes.txt").write_text("no image")
    (root / ".hidden").mkdir()
    return root


def read(folder, **arguments):
    arguments = {"image_size": (6, 8), "validation_split": 0} | arguments
    return ImageFolder(folder, **arguments)


@pytest.mark.parametrize("mode", ["rgb", "grayscale"])
def test_as_keras_reads_it(folder, mode):
    pytest.importorskip("tensorflow")
    theirs = keras.utils.image_dataset_from_directory(
        folder, image_size=(6, 8), color_mode=mode, shuffle=False, verbose=False
    )
    source = read(folder, color_mode=mode)
    x, y = source.train.arrays()
    images = np.concatenate([np.asarray(batch) for batch, _ in theirs])
    # Their grey values are rounded otherwise.
    np.testing.assert_allclose(255 * x, images, atol=1e-4 if mode == "rgb" else 1)
    assert y.tolist() == np.concatenate([b for _, b in theirs]).tolist()
    assert source.class_names == theirs.class_names == ["a", "b", "c"]
    assert source.element_spec[1] == Spec((), "int32")


def test_labels(folder):
    assert read(folder, label_mode=None).train.arrays()[1] is None
    chosen = read(folder, label_mode="categorical", class_names=["c", "a"])
    assert chosen.train.arrays()[1].tolist() == [[1, 0]] + 3 * [[0, 1]]
    assert chosen.class_names == ["c", "a"]


def test_sizes(folder):
    x, _ = read(folder, image_size=(3, 3), color_mode="rgba").train[0]
    assert x.shape == (6, 3, 3, 4)
    assert x.dtype == "float32"
    assert (x[..., 3] == 1).all()
    whole = read(folder).train.arrays()[0]
    # Of 8 columns the 6 in the middle have the wanted shape.
    cut = read(folder, image_size=(6, 6), crop_to_aspect_ratio=True)
    np.testing.assert_array_equal(cut.train.arrays()[0], whole[:, :, 1:7])


def test_other_folders(folder):
    source = read(folder, validation_path=folder, test_path=folder)
    for split in (source.validation, source.test):
        np.testing.assert_array_equal(split.arrays()[0], source.train.arrays()[0])


def test_another_class_in_another_folder_is_refused(folder, tmp_path):
    for name in ("a", "c"):
        shutil.copytree(folder / name, tmp_path / name)
    for other in ("validation_path", "test_path"):
        with pytest.raises(ValueError, match=r"class each. Received also: b\. Rem"):
            _ = read(tmp_path, **{other: folder}).train
    named = read(tmp_path, class_names=["a", "c"], test_path=folder)
    assert len(named.test.arrays()[0]) == 4


@pytest.mark.parametrize("most", [0, 2**30])
def test_files_are_read_once_if_all_fit(folder, monkeypatch, most):
    seen = []
    load = keras.utils.load_img

    def watched(path, **arguments):
        seen.append(path.name)
        return load(path, **arguments)

    monkeypatch.setattr(keras.utils, "load_img", watched)
    monkeypatch.setattr(image_folder, "_MOST_KEPT", most)
    train = read(folder, batch_size=2, shuffle=False).train
    seen.clear()  # one file was read to know shape and dtype
    first = train[1][0]
    again = train[1][0]
    np.testing.assert_array_equal(first, again)
    assert len(seen) == (2 if most else 4)


def test_bad_folders(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a folder a class.*not there"):
        _ = read(tmp_path / "none").train
    with pytest.raises(FileNotFoundError, match="which is a file"):
        _ = read(folder / "a" / "9.png").train
    with pytest.raises(ValueError, match=r"a folder for each class.*no folder in it"):
        _ = read(tmp_path).train
    with pytest.raises(ValueError, match=r"must have d\. Received: a, b, c"):
        _ = read(folder, class_names=["a", "d"]).train
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty must have an image in it, .bmp"):
        _ = read(tmp_path).train
    (tmp_path / "empty" / "a.png").write_bytes(b"\x89PNG no")
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image"):
        _ = read(tmp_path).train[0]


@pytest.mark.parametrize("mode", ["rgb", "rgba", "grayscale"])
def test_more_than_8_bits_a_value_are_refused(tmp_path, mode):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "a").mkdir()
    image.fromarray(np.full((4, 4), 999, "uint16")).save(tmp_path / "a" / "a.png")
    with pytest.raises(ValueError, match=r"a\.png .*8 bits a value. Received: .*I;16"):
        _ = read(tmp_path, color_mode=mode).train[0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"path": 3}, TypeError, "`path` must be a path"),
        ({"test_path": 3}, TypeError, "`test_path` must be a path"),
        ({"image_size": 28}, ValueError, "a height and a width. Received: .*=28"),
        ({"image_size": (0, 1)}, ValueError, "`image_size` must be at least 1"),
        ({"color_mode": "grey"}, ValueError, "`color_mode` must be one of 'graysc"),
        ({"interpolation": "area"}, ValueError, "`interpolation` must be one of"),
        ({"label_mode": "binary"}, ValueError, "`label_mode` must be one of 'int'"),
        ({"class_names": "a"}, TypeError, "`class_names` must be a list of texts"),
        ({"class_names": ["a", "a"]}, ValueError, "must be different"),
        ({"follow_links": 1}, TypeError, "`follow_links` must be True or False"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        ImageFolder(**{"path": "."} | arguments)
