"""Tfds: a data set of TensorFlow Datasets that is already prepared on this machine.

    <data_dir>/<name>/<config>/<version>/dataset_info.json and its records

Nothing is downloaded. A whole split is read into memory. Images (features of the
kind `Image`) become float32 in [0, 1], 64-bit integers int32.
"""

import os
import re
from collections.abc import Sequence

import numpy as np

from keras_dlparts.data.batches import map_arrays
from keras_dlparts.data.images import prepare_images
from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_path

_NAME = re.compile(r"\w+(/[\w.+-]+)?(:[\d.*]+)?")


def _import():
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ImportError(
            "The tfds source needs TensorFlow Datasets and TensorFlow: "
            f"pip install keras-dlparts[tfds,tensorflow] ({error})"
        ) from error
    return tensorflow_datasets


def example(folder):
    """Build a small data set in `folder`; the arguments that read it."""
    tfds = _import()
    samples = [(i, {"x": np.float32([i, 1]), "y": i % 2}) for i in range(20)]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="dlparts_example",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "x": tfds.features.Tensor(shape=(2,), dtype=np.float32),
                "y": tfds.features.ClassLabel(num_classes=2),
            }
        ),
        split_datasets={"train": samples, "test": samples},
        data_dir=str(folder),
    )
    names = {"name": "dlparts_example", "data_dir": str(folder)}
    return {**names, "x": "x", "y": "y"}


CASES = {"Tfds": ({"arguments": example},)}


class Tfds(Source):
    """A prepared data set of TensorFlow Datasets, by name.

    Args:
        name: As TFDS spells it: `"mnist"`, `"mnist:3.0.1"`, `"glue/cola"`.
        data_dir: Folder of prepared data sets. None for TFDS' own default,
            `TFDS_DATA_DIR` or `~/tensorflow_datasets`.
        x: Name of the input feature, or a list of names for a dict of inputs.
            None for the data set's supervised keys.
        y: Likewise for the targets. Only with `x`; None then means no targets.
        train: Split to train on, in TFDS' language: `"train"`, `"train[:80%]"`,
            `"train+test"`.
        validation: Split to validate on. None to cut it off the training data.
        test: Split to test on. None for no test.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> source = Tfds("mnist", data_dir="~/tensorflow_datasets", batch_size=128)
    >>> source.batch_size  # nothing is read before `source.train` is asked for
    128
    """

    def __init__(
        self,
        name: str,
        data_dir: str | os.PathLike | None = None,
        x: str | Sequence[str] | None = None,
        y: str | Sequence[str] | None = None,
        train: str = "train",
        validation: str | None = None,
        test: str | None = "test",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                "`name` must name a data set of TFDS itself, as in 'mnist', "
                "'mnist:3.0.1' or 'glue/cola'; namespaces would be looked up on the "
                f"network. Received: name={name!r}"
            )
        if data_dir is not None:
            check_path("data_dir", data_dir)
        if x is None and y is not None:
            raise ValueError(
                f"`y` needs `x` to be named too. Received: x=None, y={y!r}"
            )
        self.name = name
        self.data_dir = data_dir
        self.x = x
        self.y = y
        self.splits = {"train": train, "validation": validation, "test": test}

    def load(self):
        builder = self._builder()
        x, y = self.x, self.y
        if x is None:
            keys = builder.info.supervised_keys
            if not keys or len(keys) != 2:
                raise ValueError(
                    f"{self.name!r} does not say what is input and what target. "
                    f"Received: x=None. Name `x` and `y` from: {_features(builder)}"
                )
            x, y = keys
        return Splits(
            **{
                split: None if wanted is None else self._read(builder, wanted, x, y)
                for split, wanted in self.splits.items()
            }
        )

    def _builder(self):
        tfds = _import()
        folder = None
        if self.data_dir is not None:
            folder = os.path.abspath(os.path.expanduser(self.data_dir))
            if not os.path.isdir(folder):
                raise FileNotFoundError(
                    "`data_dir` must be a folder of prepared data sets. "
                    f"Received: data_dir={self.data_dir}, which is not there"
                )
        missing = (
            f"{self.name!r} must be prepared in "
            f"{folder or 'the default folder of TFDS'}; nothing is downloaded here. "
            "Received: no such data set there. Prepare it once: "
            f"python -c 'import tensorflow_datasets as tfds; "
            f'tfds.builder("{self.name}").download_and_prepare()\''
        )
        try:
            builder = tfds.builder(self.name, data_dir=folder)
        except tfds.core.DatasetNotFoundError as error:
            raise FileNotFoundError(missing) from error
        if not builder.is_prepared():
            raise FileNotFoundError(missing)
        return builder

    def _read(self, builder, split, x, y):
        """One split as `(x, y)`, whole."""
        parts = [part.partition("[")[0].strip() for part in split.split("+")]
        if not {*parts} <= {*builder.info.splits, "all"}:
            raise ValueError(
                f"{self.name!r} has no split {split!r}. Received: "
                f"{', '.join(builder.info.splits)}. None leaves a split out"
            )
        if not builder.info.splits[split].num_examples:
            raise ValueError(
                f"{self.name!r}, split {split!r}: must have at least one sample. "
                "Received: none"
            )
        import tensorflow as tf
        import tensorflow_datasets as tfds

        names = [*_listed(x), *_listed(y)]
        for name in names:
            if name not in builder.info.features:
                raise ValueError(
                    f"{self.name!r} has no feature {name!r}. "
                    f"Received: {_features(builder)}"
                )
        dataset = builder.as_dataset(split=split, shuffle_files=False)
        dataset = dataset.map(lambda sample: {name: sample[name] for name in names})
        try:
            # `batch_size=-1` would pad samples of different sizes without a word.
            batches = list(tfds.as_numpy(dataset.batch(1024)))
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"{self.name!r}, split {split!r}: the samples of {', '.join(names)} "
                f"must have one shape. Received: {error.message}"
            ) from error
        arrays = {n: np.concatenate([b[n] for b in batches]) for n in names}

        def pick(wanted):
            if wanted is None or isinstance(wanted, str):
                return None if wanted is None else array(wanted)
            return {name: array(name) for name in wanted}

        def array(name):
            if isinstance(builder.info.features[name], tfds.features.Image):
                return prepare_images(arrays[name])
            return arrays[name]

        return map_arrays(_narrow, pick(x)), y and map_arrays(_narrow, pick(y))


def _listed(names):
    return [names] if isinstance(names, str) else names or []


def _features(builder):
    return ", ".join(sorted(builder.info.features))


def _narrow(array):
    """Integers as int32 where they fit: what losses and embeddings take."""
    if array.dtype == "int64" and np.abs(array).max(initial=0) < 2**31:
        return array.astype("int32")
    return array
