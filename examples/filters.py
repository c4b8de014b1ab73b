"""What each fixed filter does to images of Fashion-MNIST.

    python examples/filters.py FOLDER

FOLDER has the files of Fashion-MNIST. It writes `docs/figures/filters.png`.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from studies import ROOT, save

from keras_dlparts.data.idx import read_idx
from keras_dlparts.layers import FixedFilter

SHOWN = {
    "mean": {},
    "gaussian": {"kernel_size": 5},
    "sharpen": {"kernel_size": 5},
    "laplacian": {},
    "sobel": {"magnitude": True},
}


def main():
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    (path,) = asked.folder.glob("t10k-images-idx3-ubyte*")
    images = read_idx(path)[[0, 2, 28], ..., None]
    noise = np.random.default_rng(0).normal(size=images.shape) * 25
    images = np.clip(images + noise, 0, 255).astype("uint8")
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    grid = figure.subplots(len(images), len(SHOWN) + 1)
    shown = {"with noise": images}
    for name, options in SHOWN.items():
        shown[name] = keras.ops.convert_to_numpy(FixedFilter(name, **options)(images))
    for column, (name, filtered) in enumerate(shown.items()):
        for row, image in enumerate(filtered):
            signed = name == "laplacian"
            ends = (-200, 200) if signed else (0, 600 if name == "sobel" else 255)
            grid[row][column].imshow(image[..., 0], "gray", vmin=ends[0], vmax=ends[1])
            grid[row][column].set_axis_off()
        grid[0][column].set_title(name)
    save(figure, asked.out / "docs/figures/filters.png", dpi=110)


if __name__ == "__main__":
    main()
