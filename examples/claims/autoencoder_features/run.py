"""Features of 784-500 autoencoders, read by a logistic regression with few labels."""

import keras
import numpy as np

from examples.claims.data import flat_images
from examples.claims.pictures import as_text, by_way, from_text
from keras_dlparts.layers import KSparse, MaskingNoise
from keras_dlparts.models import Autoencoder

SHARES = {"error_1": 0.012, "error_10": 0.12}  # of 50 000 images: 600 and 6000


def run(
    seed,
    data,
    inverses,
    features=True,
    rate=None,
    contraction=0.0,
    k=None,
    train=50_000,
    units=500,
    epochs=5,
):
    """Test errors in %; `inverses` are the regressions' C with few and more labels.

    The images behind the first `train` ones are those that settings were chosen by.
    """
    from sklearn.linear_model import LogisticRegression

    found = flat_images(data, train)
    x, x_test = found.x, found.x_test
    row = {}
    if features:
        keras.utils.set_random_seed(seed)
        model = Autoencoder(
            [keras.layers.Dense(units, None if k else "sigmoid")],
            code=KSparse(k, test_factor=2.0) if k else None,
            corruption=MaskingNoise(rate) if rate else None,
            contraction=contraction,
            likelihood="bernoulli",
            tied=True,
        )
        model.compile(keras.optimizers.Adam(1e-3))
        model.fit(x, batch_size=100, epochs=epochs, verbose=0)
        if k and seed == 0:
            row["filters"] = as_text(filters(model))
        x, x_test = model.encode(x), model.encode(x_test)
    order = np.random.default_rng(seed).permutation(len(x))
    for (name, share), c in zip(SHARES.items(), inverses, strict=True):
        rows = order[: max(20, int(share * len(x)))]
        regression = LogisticRegression(C=c, max_iter=300, tol=1e-3)
        regression.fit(x[rows], found.y[rows])
        row[name] = 100 * (1 - regression.score(x_test, found.y_test))
    return row


def filters(model):
    """The longest weight vectors of the code, each from -1 to 1 as 0 to 1."""
    w = keras.ops.convert_to_numpy(model.encoder.layers[-1].kernel).T
    w = w[np.argsort(-np.linalg.norm(w, axis=1))][:128]
    w = w[: len(w) // 16 * 16].reshape(-1, 16, 28, 28)
    w = w / np.abs(w).max(axis=(2, 3), keepdims=True)
    return (w.transpose(0, 2, 1, 3).reshape(-1, 16 * 28) + 1) / 2


def draw(figure, rows):
    """Test errors by features, and the weights of the k-sparse code."""
    ways = list(dict.fromkeys(row["way"] for row in rows))
    shown = [row["filters"] for row in rows if "filters" in row]
    figure.set_size_inches(11, 3.2)
    panels = figure.subplots(
        1, 2 + len(shown), width_ratios=[1, 1, 1.6][: 2 + len(shown)]
    )
    for axes, name in zip(panels, SHARES, strict=False):
        by_way(axes, rows, name, ways)
        axes.set_yticks(range(len(ways)), ways if name == "error_1" else [])
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        share = {"error_1": "1", "error_10": "10"}[name]
        axes.set_xlabel(f"test error in %, {share} % of the labels")
    if shown:
        panels[2].imshow(from_text(shown[0]), cmap="RdBu_r", vmin=0, vmax=1)
        panels[2].set_axis_off()
        panels[2].set_title("weights of the k-sparse code", size=9)
