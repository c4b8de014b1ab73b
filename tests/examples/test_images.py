"""The example of image files: what it writes is what the config reads."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np

from keras_dlparts.config import load
from keras_dlparts.config.assemble import made_without_model
from keras_dlparts.data import Idx
from keras_dlparts.data.idx import write_idx

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_the_files_are_those_of_the_data_set(tmp_path):
    spec = importlib.util.spec_from_file_location("images", EXAMPLES / "images.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 28, 28))
    for split in ("train", "t10k"):
        write_idx(tmp_path / f"{split}-images-idx3-ubyte", pixels)
        write_idx(tmp_path / f"{split}-labels-idx1-ubyte", np.arange(30) % 10)
    source = Idx(tmp_path, validation_split=0)
    assert example.write_images(source, tmp_path / "fashion_mnist", each=2) == 40
    shutil.copy(EXAMPLES / "images.yaml", tmp_path)
    experiment = load(tmp_path / "images.yaml", ["data.samples=20"])
    data, _, spec, _ = made_without_model(experiment)
    assert spec.shape == (28, 28, 1)
    assert data.class_names == sorted(example.CLASSES)
    x, y = data.test.arrays()
    theirs, labels = source.test.arrays()
    names = [example.CLASSES.index(name) for name in data.class_names]
    for image, label in zip(x, y, strict=True):
        (row,) = np.flatnonzero((np.abs(theirs - image) < 1e-6).all((1, 2, 3)))
        assert labels[row] == names[label]
