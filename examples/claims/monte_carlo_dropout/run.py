"""A net with dropout, asked by weight scaling and by means of several random passes."""

import keras
import numpy as np
from keras import layers as kl

import keras_dlparts
from examples.claims.data import images
from keras_dlparts.layers import RandomDropout

SCORES = {"error": "test error, %", "nll": "- log p", "ece": "calibration error, %"}


def run(seed, data, drop, rate, units, passes, epochs, train=None):
    """Error in %, mean -log p of the class and calibration error by each rule."""
    found = images(data, train)
    layers = [keras.Input((28, 28)), kl.Flatten()]
    for _ in range(2):
        layers.append(kl.Dense(units, "relu"))
        if drop == "fixed":
            layers.append(kl.Dropout(rate))
        elif drop == "random":
            layers.append(RandomDropout(rate))
    model = keras.Sequential([*layers, kl.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    model.fit(found.x, found.y, batch_size=100, epochs=epochs, verbose=0)
    x, y = found.x_test, found.y_test
    if drop == "none":
        logits = model.predict(x, batch_size=1000, verbose=0)
        return {f"scaling_{k}": v for k, v in scores(softmax(logits), y).items()} | {
            "passes": []
        }
    result = {"passes": passes} | {f"by_{name}": [] for name in SCORES}
    for n in passes:
        answer = keras_dlparts.monte_carlo(
            model, x, n, "softmax", batch_size=1000, seed=seed, verbose=0
        )
        for name, value in scores(answer.mean, y).items():
            result[f"by_{name}"].append(value)
    for name in SCORES:
        result[f"one_{name}"] = result[f"by_{name}"][0]
        result[f"many_{name}"] = result[f"by_{name}"][-1]
    scaled = scores(answer.weight_scaling, y)
    return result | {f"scaling_{name}": value for name, value in scaled.items()}


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def scores(chances, y):
    """The three figures of answers; calibration in 15 bins of the largest chance."""
    likely, right = chances.max(axis=1), chances.argmax(axis=1) == y
    bins = np.minimum((likely * 15).astype(int), 14)
    gaps = [
        abs(likely[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    return {
        "error": 100 * float(1 - right.mean()),
        "nll": float(-np.log(np.maximum(chances[range(len(y)), y], 1e-12)).mean()),
        "ece": 100 * float(sum(gaps)),
    }


def draw(figure, rows):
    """The scores by number of passes, and those of weight scaling beside them."""
    panels = figure.subplots(1, 3)
    for axes, (name, label) in zip(panels, SCORES.items(), strict=True):
        for way in dict.fromkeys(row["way"] for row in rows):
            its = [row for row in rows if row["way"] == way]
            scaled = np.mean([row[f"scaling_{name}"] for row in its])
            color = axes.plot([], [], "o-", ms=4, label=way)[0].get_color()
            axes.axhline(scaled, color=color, ls="--", lw=1)
            if passes := its[0]["passes"]:
                means = np.mean([row[f"by_{name}"] for row in its], axis=0)
                axes.semilogx(passes, means, "o-", ms=4, color=color)
                axes.set_xticks(passes, [str(n) for n in passes])
                axes.minorticks_off()
        axes.set(title=label, xlabel="random passes")
        axes.title.set_size(10)
        axes.set_ylim(bottom=0)
    panels[0].legend(frameon=False, fontsize=8, title="dashed: weight scaling")
