"""Fashion-MNIST as image files, a folder a class, for `images.yaml`.

    python examples/images.py /usr/share/datasets/fashion-mnist [--each 700]

reads the data set's own files and writes PNG files beside `images.yaml`:

    examples/fashion_mnist/{train,test}/<class>/<number>.png

On Debian and Ubuntu `apt install dataset-fashion-mnist` has the data set's files.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

from keras_dlparts.data import Idx

HERE = Path(__file__).resolve().parent
CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)


def write_images(source, out, each=None):
    """Write the images of a source into folders, so many of each class at most.

    Returns: how many were written.
    """
    written = 0
    for split, batches in (("train", source.train), ("test", source.test)):
        x, y = batches.arrays()
        for label, name in enumerate(CLASSES):
            folder = Path(out, split, name)
            folder.mkdir(parents=True, exist_ok=True)
            for row in np.flatnonzero(y == label)[:each]:
                pixels = np.rint(255 * x[row])
                keras.utils.save_img(folder / f"{row:05}.png", pixels, scale=False)
                written += 1
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="of the data set's files")
    parser.add_argument("--each", type=int, help="images of each class and split")
    parser.add_argument("--out", default=HERE / "fashion_mnist")
    asked = parser.parse_args()
    data = Idx(asked.folder, validation_split=0)
    print(write_images(data, asked.out, asked.each), "images in", asked.out)
