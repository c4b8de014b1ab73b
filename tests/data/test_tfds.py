"""The tfds source on data sets that TFDS' own builders make here."""

import numpy as np
import pytest

from keras_dlparts.data import Spec, Tfds, tfds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data sets `tiny` (images with labels) and `dlparts_example` (no keys)."""
    lib = pytest.importorskip("tensorflow_datasets")

    class Tiny(lib.core.GeneratorBasedBuilder):
        VERSION = lib.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": lib.features.Image(shape=(2, 3, 1)),
                "label": lib.features.ClassLabel(num_classes=3),
                "words": lib.features.Sequence(np.int64),
            }
            return lib.core.DatasetInfo(
                builder=self,
                features=lib.features.FeaturesDict(features),
                supervised_keys=("image", "label"),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {
                "train": self._generate_examples(9),
                "eval": self._generate_examples(4),
            }

        def _generate_examples(self, n):
            for i in range(n):
                image = np.full((2, 3, 1), 20 * i, "uint8")
                yield i, {"image": image, "label": i % 3, "words": [i] * i}

    folder = tmp_path_factory.mktemp("tfds")
    Tiny(data_dir=folder).download_and_prepare()
    tfds.example(folder)
    return folder


def test_supervised_keys(folder):
    source = Tfds("tiny", folder, test="eval", validation_split=0)
    x, y = source.train.arrays()
    assert source.element_spec == (Spec((2, 3, 1), "float32"), Spec((), "int32"))
    np.testing.assert_allclose(x[:, 0, 0, 0] * 255, 20 * np.arange(9), rtol=1e-6)
    assert y.tolist() == [i % 3 for i in range(9)]
    assert len(source.test.arrays()[0]) == 4


def test_named_features_and_split_language(folder):
    source = Tfds(
        "tiny:1.0.0",
        folder,
        x=["image", "label"],
        train="train[:5]",
        validation="train[5:]",
        test=None,
    )
    assert set(source.train.arrays()[0]) == {"image", "label"}
    assert source.train.arrays()[1] is None
    assert len(source.train.arrays()[0]["label"]) == 5
    assert source.validation.arrays()[0]["label"].tolist() == [2, 0, 1, 2]
    assert source.test is None


def test_splits_add_up(folder):
    for train in ("train+eval", "train[:5]+ train[5:] + eval", "all"):
        source = Tfds("tiny", folder, train=train, test="eval", validation_split=0)
        assert len(source.train.arrays()[0]) == 13


def test_errors(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing is downloaded here.*nosuch"):
        _ = Tfds("nosuch", folder).train
    with pytest.raises(FileNotFoundError, match=r"must be prepared in .*mnist"):
        _ = Tfds("mnist", tmp_path).train
    with pytest.raises(FileNotFoundError, match="`data_dir` must be a folder"):
        _ = Tfds("tiny", tmp_path / "none").train
    with pytest.raises(ValueError, match=r"no split 'test'. Received: .*eval"):
        _ = Tfds("tiny", folder).train
    with pytest.raises(ValueError, match=r"no split 'train\+dev'. Received: .*eval"):
        _ = Tfds("tiny", folder, train="train+dev", test="eval").train
    with pytest.raises(ValueError, match=r"split 'train\[:0\]': must have at least"):
        _ = Tfds("tiny", folder, train="train[:0]", test="eval").train
    with pytest.raises(ValueError, match=r"Name `x` and `y` from: x, y"):
        _ = Tfds("dlparts_example", folder).train
    with pytest.raises(ValueError, match=r"no feature 'z'. Received: x, y"):
        _ = Tfds("dlparts_example", folder, x="z").train
    with pytest.raises(ValueError, match=r"samples of words must have one shape"):
        _ = Tfds("tiny", folder, x="words", test="eval").train
    for name in ("huggingface:mnist", "kaggle:x/y", "", None, "../tiny"):
        with pytest.raises(ValueError, match="`name` must name a data set"):
            Tfds(name)
    with pytest.raises(ValueError, match="`y` needs `x`"):
        Tfds("tiny", y="label")


def test_example_is_read(folder):
    source = Tfds("dlparts_example", folder, x="x", y="y")
    assert source.element_spec == (Spec((2,), "float32"), Spec((), "int32"))
