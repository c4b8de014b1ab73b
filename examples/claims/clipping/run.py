"""No clipping, a fixed norm, AutoClip and the measured threshold, at several rates."""

from pathlib import Path

import keras
import numpy as np

from examples.studies import fitted

CONFIG = Path(__file__).with_name("config.yaml")
# Method, and what it chooses of `optimizer` and `callbacks`.
METHODS = {
    "none": ("SGD", "SmoothnessTrace"),
    "fixed norm 1": ("Clipped", "SmoothnessTrace"),
    "AutoClip": ("Clipped#2", "SmoothnessTrace"),
    "ours": ("SGD", "RelaxedSmoothnessClipping"),
    "ours, adapted rate": ("SGD", "RelaxedSmoothnessClipping"),
    "ours, safety 1": ("SGD", "RelaxedSmoothnessClipping"),
    "ours, safety 10": ("SGD", "RelaxedSmoothnessClipping"),
}
SETTINGS = {
    "adapted rate": "adapt_learning_rate: true",
    "safety 10": "safety: 10.0",
    "safety 1": "safety: 1.0",
}
WORST = 10.0  # what a training that diverged counts as: far beyond the loss of guessing


def run(seed, data, net, method, epochs, rates, samples=None):
    """The training loss at the end for each rate: the lowest, and the highest."""
    losses = []
    for rate in rates:
        keras.backend.clear_session()
        sets = [f"model.default={net}", f"fit.epochs={epochs}", f"seed={seed}"]
        sets += [] if samples is None else [f"data.samples={samples}"]
        history, _ = fitted(CONFIG, [*sets, *overrides(method, rate)])
        losses.append(min(np.nan_to_num(history["loss"][-1], nan=WORST), WORST))
    return {"best": min(losses), "worst": max(losses), "losses": losses, "rates": rates}


def overrides(method, rate):
    """What `--set` would say."""
    optimizer, callback = METHODS[method]
    sets = [
        f"optimizer.default='{optimizer}'",
        f"callbacks[0].default={callback}",
        f"optimizer.of[0].learning_rate={rate}",
        *(f"optimizer.of[{i}].optimizer.learning_rate={rate}" for i in (1, 2)),
    ]
    for words, setting in SETTINGS.items():
        if method.endswith(words):
            sets.append(f"callbacks[0].of[1]={{use: {callback}, {setting}}}")
    return sets


def draw(figure, rows):
    """The loss at the end by rate: the median of the seeds and their range."""
    figure.set_size_inches(9, 3.6)
    nets = {"list": "LSTM", "ResNet": "residual net"}
    panels = figure.subplots(1, len(nets))
    for axes, (net, title) in zip(panels, nets.items(), strict=True):
        for i, method in enumerate(METHODS):
            chosen = {"net": net, "method": method}
            of = [r for r in rows if chosen.items() <= r["settings"].items()]
            if not of:
                continue
            rates = np.array(of[0]["rates"]) * 1.04 ** (i - 2)  # side by side
            losses = np.array([row["losses"] for row in of])
            axes.vlines(rates, losses.min(0), losses.max(0), color=f"C{i}", alpha=0.5)
            middle = np.median(losses, axis=0)
            axes.plot(rates, middle, "o-", color=f"C{i}", label=method, ms=4)
        axes.set(xscale="log", yscale="log", xlabel="learning rate")
        axes.set_title(title, fontsize=10)
    panels[0].set_ylabel("training loss at the end")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right")
