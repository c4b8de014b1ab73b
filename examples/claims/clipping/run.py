"""No clipping, a fixed norm, AutoClip and the measured threshold, at several rates."""

import functools
from pathlib import Path

import keras
import numpy as np

from examples.studies import fitted

CONFIG = Path(__file__).with_name("config.yaml")
MEASURED = "RelaxedSmoothnessClipping"
# Method, and what it says of `optimizer` and `callbacks`.
METHODS = {
    "none": ("SGD", "[]"),
    "fixed norm 1": ("Clipped", "[]"),
    "AutoClip": ("Clipped#2", "[]"),
    "ours": ("SGD", f"[{MEASURED}]"),
    "ours, adapted rate": (
        "SGD",
        f"[{{use: {MEASURED}, adapt_learning_rate: true}}]",
    ),
    "ours, safety 1": ("SGD", f"[{{use: {MEASURED}, safety: 1.0}}]"),
    "ours, safety 10": ("SGD", f"[{{use: {MEASURED}, safety: 10.0}}]"),
}
WORST = 10.0  # what a training that diverged counts as: far beyond the loss of guessing
LONGEST = 3_000  # what a descent counts as that diverged, or is slower than that
DISTANCES = (2.0, 4.0, 6.0, 8.0)
DESCENTS = {  # the (rate, threshold) that are tried
    "plain": [(rate, np.inf) for rate in 2.0 ** np.arange(-11, 1.5, 0.5)],
    "clipped": [
        (rate, threshold)
        for rate in 2.0 ** np.arange(-2, 2)
        for threshold in 2.0 ** np.arange(6)
    ],
    # 1 / (10 L0), min(1 / rate, 1 / (10 L1 rate))
    "theorem": [(0.1, 1.0)],
}
LABELS = {
    "plain": "plain, tuned",
    "clipped": "clipped, tuned",
    "theorem": "theorem's constants",
}


def run(seed, data, epochs, rates, samples, units, method=None, rate=None, cosh=None):
    """The training loss at the end for each of `rates`, and for the rate of the method.

    With `cosh` a descent on that loss instead.
    """
    if cosh:
        return descents(seed, cosh)
    losses = {}
    for one in dict.fromkeys([*rates, rate]):
        keras.backend.clear_session()
        sets = [f"fit.epochs={epochs}", f"seed={seed}", f"model[0].units={units}"]
        sets += [f"data.path={data}", f"data.samples={samples}"]
        history, _ = fitted(CONFIG, [*sets, *overrides(method, one)])
        losses[one] = min(np.nan_to_num(history["loss"][-1], nan=WORST), WORST)
    asked = [losses[one] for one in rates]
    return {
        "chosen": losses[rate],
        "best": min(asked),
        "worst": max(asked),
        "losses": asked,
    }


def overrides(method, rate):
    """What `--set` would say."""
    optimizer, callbacks = METHODS[method]
    return [
        f"optimizer.default='{optimizer}'",
        f"callbacks={callbacks}",
        f"optimizer.of[0].learning_rate={rate}",
        *(f"optimizer.of[{i}].optimizer.learning_rate={rate}" for i in (1, 2)),
    ]


def descents(seed, name):
    """Steps on sum cosh x_i, where L0 = L1 = 1, from starting points near and far."""
    needed = [
        float(steps(starts(seed, far), *tuned(name, far)).mean()) for far in DISTANCES
    ]
    return {"steps": needed[-1], "by_distance": needed}


def starts(seed, far):
    return np.random.default_rng(seed).uniform(-far, far, (20, 10))


@functools.cache
def tuned(name, far):
    """The rate and the threshold with the fewest steps from other starting points."""
    others = starts(100, far)

    def cost(setting):
        needed = steps(others, *setting)
        return needed.max(), needed.mean()

    return min(DESCENTS[name], key=cost)


def steps(x, rate, threshold, tolerance=0.01):
    """How many steps each starting point needs until the gradient is that small."""
    needed = np.full(len(x), LONGEST)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for step in range(LONGEST):
            gradient = np.sinh(x)
            norm = np.linalg.norm(gradient, axis=1, keepdims=True)
            there = norm[:, 0] <= tolerance
            needed[there] = np.minimum(needed[there], step)
            if (there | ~np.isfinite(norm[:, 0])).all():
                break
            x = x - rate * gradient * np.minimum(1, threshold / norm)
    return needed


def draw(figure, rows):
    """The loss at the end by rate, median and range; the steps by distance."""
    figure.set_size_inches(9, 3.6)
    left, right = figure.subplots(1, 2)
    for i, method in enumerate(METHODS):
        of = [row for row in rows if row["settings"].get("method") == method]
        if not of:
            continue
        rates = np.array(of[0]["settings"]["rates"]) * 1.04 ** (i - 2)  # side by side
        losses = np.array([row["losses"] for row in of])
        left.vlines(rates, losses.min(0), losses.max(0), color=f"C{i}", alpha=0.5)
        middle = np.median(losses, axis=0)
        left.plot(rates, middle, "o-", color=f"C{i}", label=method, ms=4)
    left.set(xscale="log", yscale="log", xlabel="learning rate")
    left.set_ylabel("training loss at the end")
    left.set_title("LSTM, MNIST row by row", fontsize=10)
    for i, (name, label) in enumerate(LABELS.items()):
        of = [r["by_distance"] for r in rows if r["settings"].get("cosh") == name]
        if of:
            middle = np.median(of, axis=0)
            right.plot(DISTANCES, middle, f"C{i + 7}s--", label=label, ms=4)
    right.set(yscale="log", xlabel="largest coordinate of the start")
    right.set_ylabel("steps to a gradient of 0.01")
    right.set_title("sum of cosh", fontsize=10)
    right.legend(fontsize=8)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right")
