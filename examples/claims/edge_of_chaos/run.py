"""Dense tanh nets by depth and weight variance: which of them learn in a few steps."""

import keras
import numpy as np
from keras import layers as kl

from examples.claims.deep_nets import centred, flat, trained
from keras_dlparts.analysis import mean_field

BIAS = 0.05


def run(seed, data, depth, weight_variance, units, steps, batch=64, learning_rate=0.02):
    train, test = centred(data)
    # Inputs whose pre-activations have the variance 1, as the theory's.
    train, test = flat((train, test), 1 / train[0].std())
    layers = [*(kl.Dense(units, "tanh") for _ in range(depth)), kl.Dense(10)]
    model = keras.Sequential([keras.Input(train[0].shape[1:]), *layers])
    random = np.random.default_rng(seed)
    for layer in layers:
        shape = layer.kernel.shape
        spread = (weight_variance / shape[0]) ** 0.5
        layer.kernel.assign(random.normal(size=shape) * spread)
        layer.bias.assign(random.normal(size=shape[1]) * BIAS**0.5)
    return trained(model, train, test, learning_rate, steps, batch, seed)


def draw(figure, rows):
    """Accuracy by depth and variance, and six correlation lengths."""
    setting = [row["settings"] for row in rows]
    depths = sorted({s["depth"] for s in setting})
    variances = sorted({s["weight_variance"] for s in setting})
    found = {}
    for row, s in zip(rows, setting, strict=True):
        place = depths.index(s["depth"]), variances.index(s["weight_variance"])
        found.setdefault(place, []).append(row["test_accuracy"])
    values = np.full((len(depths), len(variances)), np.nan)
    for place, some in found.items():
        values[place] = np.mean(some)
    figure.set_size_inches(6, 3.8)
    axes = figure.add_subplot()
    mesh = axes.pcolormesh(values, cmap="viridis", vmin=0.1, vmax=1.0)
    for (i, j), value in np.ndenumerate(values):
        colour = "w" if value < 0.6 else "k"
        centre = {"ha": "center", "va": "center", "size": 8}
        axes.text(j + 0.5, i + 0.5, f"{value:.2f}", color=colour, **centre)
    fine = np.linspace(0, len(variances), 141)
    at = np.interp(fine, np.arange(len(variances)) + 0.5, variances)
    reach = np.array([mean_field("tanh", v, BIAS).trainable_depth for v in at])
    lines = np.log2(np.clip(reach, 1, 1e4) / depths[0]) + 0.5  # depths double
    axes.plot(fine, lines, "w--", lw=2, label=r"$6\,\xi_c$")
    axes.set(ylim=(0, len(depths)), xlim=(0, len(variances)))
    axes.set_xticks(np.arange(len(variances)) + 0.5, variances)
    axes.set_yticks(np.arange(len(depths)) + 0.5, depths)
    axes.set(xlabel=r"weight variance $\sigma_w^2$", ylabel="hidden layers")
    corner = {"loc": "lower right", "bbox_to_anchor": (1, 1.01)}
    axes.legend(**corner, facecolor="0.4", labelcolor="w")
    figure.colorbar(mesh, ax=axes, label="test accuracy")
