"""ImageFolder: image files, a folder a class, as `image_dataset_from_directory` reads.

    <path>/<class>/**/<name>.jpg      also .jpeg, .png, .bmp, .gif (its first picture)

The classes are the folders' names, sorted; the samples lie in the order of the classes
and of the paths in them. x is float32 in [0, 1], shape (height, width, channels): what
Keras' function gives, divided by 255.

Files are decoded by Pillow when a batch wants them, by several threads. What was
decoded is kept, a byte a value, if all images together need at most 1 GiB; larger
folders are read anew in each epoch and need the memory of a batch only. Pillow smooths
where it makes images smaller; Keras' function does not, so resized pixels differ a
little.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.data.table import check_class_names
from keras_dlparts.support.checks import check_count, check_flag, check_path, check_word

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
_MOST_KEPT = 2**30  # bytes
_THREADS = 8


def example(folder):
    """Write small images into `folder`; the arguments that read them."""
    for number in range(20):
        path = Path(folder) / ("even", "odd")[number % 2] / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.full((4, 4, 3), 12 * number, "uint8")
        keras.utils.save_img(path, pixels, scale=False)
    return {"path": str(folder), "image_size": (4, 4)}


CASES = {"ImageFolder": ({"arguments": example},)}


class Images:
    """Image files as an array that is read as far as it is indexed.

    Args:
        paths: List of paths.
        decode: Gives the pixels of a path, uint8.
        shape: Of an image, `(height, width, channels)`.
    """

    def __init__(self, paths, decode, shape):
        self.paths, self.decode, self.shape = paths, decode, (len(paths), *shape)
        self._kept = self._is_kept = None
        if np.prod(self.shape, dtype=float) <= _MOST_KEPT:
            self._kept = np.empty(self.shape, "uint8")
            self._is_kept = np.zeros(len(paths), bool)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, rows):
        rows = np.arange(len(self))[rows]
        if self._kept is None:
            return self._scaled(self._decoded(rows))
        new = np.unique(rows[~self._is_kept[rows]])
        if len(new):
            self._kept[new] = self._decoded(new)
            self._is_kept[new] = True
        return self._scaled(self._kept[rows])

    def _decoded(self, rows):
        pixels = np.empty((len(rows), *self.shape[1:]), "uint8")
        with ThreadPoolExecutor(_THREADS) as pool:
            several = pool.map(self.decode, [self.paths[row] for row in rows])
            for i, image in enumerate(several):
                pixels[i] = image
        return pixels

    def _scaled(self, pixels):
        return np.divide(pixels, np.float32(255), dtype="float32")


class ImageFolder(Source):
    """Images in a folder a class.

    Args:
        path: The folder to train on.
        image_size: Height and width to resize to.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`: 3, 4 or 1 channels.
        interpolation: How to resize: `"nearest"`, `"bilinear"`, `"bicubic"`,
            `"lanczos"`, `"box"` or `"hamming"`.
        crop_to_aspect_ratio: Whether to cut off what keeps an image from the wanted
            shape, around its middle, before it is resized. Otherwise it is stretched.
        label_mode: `"int"` for class numbers, int32; `"categorical"` for one-hot
            float32; None for no targets.
        class_names: The folders to read, in the order of the classes 0, 1, ...; None
            for all, sorted.
        validation_path: Another such folder to validate on; None for a share of `path`.
        test_path: Another such folder to test on, or None.
        follow_links: Whether to read folders that are links.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     source = ImageFolder(**example(folder), batch_size=4)
    ...     x, y = source.train[0]
    >>> x.shape, source.class_names
    ((4, 4, 4, 3), ['even', 'odd'])
    """

    def __init__(
        self,
        path: str | os.PathLike,
        image_size: Sequence[int] = (256, 256),
        color_mode: Literal["rgb", "rgba", "grayscale"] = "rgb",
        interpolation: Literal[
            "nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"
        ] = "bilinear",
        crop_to_aspect_ratio: bool = False,
        label_mode: Literal["int", "categorical"] | None = "int",
        class_names: Sequence[str] | None = None,
        validation_path: str | os.PathLike | None = None,
        test_path: str | os.PathLike | None = None,
        follow_links: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_path("path", path)
        paths = {"validation_path": validation_path, "test_path": test_path}
        for name, value in paths.items():
            if value is not None:
                check_path(name, value)
        if not isinstance(image_size, list | tuple) or len(image_size) != 2:
            raise ValueError(
                "`image_size` must be a height and a width. "
                f"Received: image_size={image_size!r}"
            )
        for size in image_size:
            check_count("image_size", size)
        check_word("color_mode", color_mode, CHANNELS)
        check_word("interpolation", interpolation, INTERPOLATIONS)
        check_flag("crop_to_aspect_ratio", crop_to_aspect_ratio)
        if label_mode is not None:
            check_word("label_mode", label_mode, ("int", "categorical"))
        check_flag("follow_links", follow_links)
        self.path = path
        self.image_size = tuple(image_size)
        self.color_mode = color_mode
        self.interpolation = interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.label_mode = label_mode
        self.class_names = check_class_names(class_names)
        self.validation_path = validation_path
        self.test_path = test_path
        self.follow_links = follow_links

    def load(self):
        try:
            import PIL  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "The images source needs Pillow: pip install keras-dlparts[images]"
            ) from error
        # The classes that were named may be some of those there; else all must be.
        self._all_folders = self.class_names is None
        paths = (self.path, self.validation_path, self.test_path)
        return Splits(*(None if path is None else self._pair(path) for path in paths))

    def _pair(self, given):
        folder = Path(given).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(
                "An images source must be a folder with a folder a class. Received: "
                f"{given}, which is {'a file' if folder.exists() else 'not there'}"
            )
        there = sorted(
            each.name
            for each in folder.iterdir()
            if each.is_dir() and not each.name.startswith(".")
        )
        if self.class_names is None:
            self.class_names = there
        missing = [name for name in self.class_names if name not in there]
        if missing or not there:
            found = ", ".join(there[:10]) + ", ..." * (len(there) > 10)
            needed = ", ".join(missing[:10]) or "a folder for each class"
            raise ValueError(
                f"{given} must have {needed}. Received: {found or 'no folder in it'}"
            )
        more = [name for name in there if name not in self.class_names]
        if more and self._all_folders:
            raise ValueError(
                f"{given} must have the folders of {self.path}, a class each. "
                f"Received also: {', '.join(more[:10])}{', ...' * (len(more) > 10)}. "
                "Remove them, or name the classes in `class_names`"
            )
        files, labels = [], []
        for number, name in enumerate(self.class_names):
            own = self._files(folder / name)
            if not own:
                raise ValueError(
                    f"{folder / name} must have an image in it, {', '.join(ENDINGS)}. "
                    "Received: none. Remove the folder, or name the others in "
                    "`class_names`"
                )
            files += own
            labels += [number] * len(own)
        channels = CHANNELS[self.color_mode]
        x = Images(files, self._decode, (*self.image_size, channels))
        y = np.array(labels, "int32")
        if self.label_mode == "categorical":
            y = np.eye(len(self.class_names), dtype="float32")[y]
        return x, None if self.label_mode is None else y

    def _files(self, folder):
        walked = sorted(os.walk(folder, followlinks=self.follow_links))
        return [
            Path(root, name)
            for root, _, names in walked
            for name in sorted(names)
            if name.lower().endswith(ENDINGS)
        ]

    def _decode(self, path):
        from PIL import Image

        try:
            # Asked before Keras makes it RGB, where 16 bits a value are cut off at 255.
            with Image.open(path) as image:
                mode = image.mode
            if mode.startswith(("I", "F")):
                raise ValueError(
                    f"it must have 8 bits a value. Received: Pillow's mode {mode}. "
                    "Convert it"
                )
            image = keras.utils.load_img(
                path,
                color_mode=self.color_mode,
                target_size=self.image_size,
                interpolation=self.interpolation,
                keep_aspect_ratio=self.crop_to_aspect_ratio,
            )
        except (OSError, ValueError, SyntaxError) as error:
            raise ValueError(f"{path} cannot be read as an image: {error}") from error
        pixels = np.asarray(image)
        return pixels[..., None] if pixels.ndim == 2 else pixels
