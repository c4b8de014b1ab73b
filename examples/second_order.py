"""Second-order methods on an ill-conditioned quadratic and on a small net.

    python examples/second_order.py [--epochs 30] [--newton 30]

writes `benchmarks/results/second_order.json` and `docs/figures/second_order.svg`.
On the net every loss is drawn against work: gradients of the whole data, a
Hessian-vector product counting as two.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
from studies import ROOT, save, write

import keras_dlparts
from keras_dlparts.callbacks import HutchinsonCurvature
from keras_dlparts.data import Digits
from keras_dlparts.optimizers import DiagonalNewton

CONDITION, START = 1000.0, (5.0, 1.0)


def quadratic():
    """f = (x^2 + K y^2) / 2 as the loss of a model with two weights."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.reshape(START, (2, 1))])
    return model, np.diag([1.0, CONDITION**0.5]).astype("float32")


def quadratic_rows(steps=50):
    """The path of each method, f after each step."""
    zeros = np.zeros((2, 1), "float32")
    best = 2 / (1 + CONDITION)  # the best constant step of gradient descent
    optimizers = {
        "gradient descent": keras.optimizers.SGD(best),
        "momentum": keras.optimizers.SGD(best, momentum=0.9),
        "Adam": keras.optimizers.Adam(0.5),
        "DiagonalNewton": DiagonalNewton(1.0, beta_1=0.0, clip=None),
    }
    rows = []
    for name, optimizer in optimizers.items():
        model, x = quadratic()
        model.compile(optimizer, "mse")
        path = [model.get_weights()[0].ravel().tolist()]
        calls = [HutchinsonCurvature(data=(x, zeros))] if "Newton" in name else []
        note = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_, m=model, p=path: p.append(
                m.get_weights()[0].ravel().tolist()
            )
        )
        model.fit(x, zeros, epochs=steps, verbose=0, callbacks=[*calls, note])
        rows.append({"what": "quadratic", "method": name, "path": path})
    model, x = quadratic()
    model.compile(loss="mse")
    path = [model.get_weights()[0].ravel().tolist()]
    keras_dlparts.newton(model, x, zeros, iterations=1)
    path.append(model.get_weights()[0].ravel().tolist())
    rows.append({"what": "quadratic", "method": "Newton-CG", "path": path})
    for row in rows:
        xy = np.array(row["path"])
        row["f"] = ((xy[:, 0] ** 2 + CONDITION * xy[:, 1] ** 2) / 2).tolist()
        print(row["method"], f"{row['f'][1]:.3g} {row['f'][-1]:.3g}")
    return rows


def net():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, "tanh"),
            keras.layers.Dense(10, kernel_regularizer=keras.regularizers.L2(1e-4)),
        ]
    )


def net_rows(epochs, newton_steps):
    """Training losses by work, on the digits data: each method at its best rate."""
    x, y = Digits().train.arrays()
    x = (x / np.max(x)).reshape(len(x), -1).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    makers = {
        "SGD with momentum": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
        "Adam": keras.optimizers.Adam,
        "DiagonalNewton": DiagonalNewton,
    }
    rates = {"Adam": (0.001, 0.003, 0.01, 0.03, 0.1)}
    rows = []
    for name, make in makers.items():
        found = []
        for rate in rates.get(name, (0.03, 0.1, 0.3, 1.0)):
            model = net()
            model.compile(make(rate), loss)
            batch = x[:256], y[:256]
            newton = name == "DiagonalNewton"
            calls = [HutchinsonCurvature(every=10, data=batch)] if newton else []
            start = time.perf_counter()
            history = model.fit(
                x, y, batch_size=64, epochs=epochs, verbose=0, callbacks=calls
            )
            # A product, of two gradients, on 256 samples each 10 steps of 64.
            work = 1 + (2 * 256 / (10 * 64) if newton else 0)
            found.append(
                {
                    "what": "net",
                    "method": name,
                    "learning_rate": rate,
                    "loss": [model.evaluate(x, y, verbose=0)],
                    "losses": history.history["loss"],
                    "work": [work * (i + 1) for i in range(epochs)],
                    "seconds": time.perf_counter() - start,
                }
            )
            print(name, rate, f"{found[-1]['loss'][0]:.4g}", flush=True)
        rows += found
    model = net()
    model.compile(loss=loss)
    start = time.perf_counter()
    history = keras_dlparts.newton(
        model, x, y, iterations=newton_steps, cg_iterations=50, cg_tolerance=0.1
    )
    # A trial of the line search is a gradient; one product more judges the step.
    steps = zip(history["step"][1:], history["cg_iterations"][1:], strict=True)
    costs = [1, *(1 - np.log2(a) + 2 * (inner + 1) for a, inner in steps)]
    work = np.cumsum(costs)
    rows.append(
        {
            "what": "net",
            "method": "Newton-CG",
            "loss": [history["loss"][-1]],
            "losses": history["loss"],
            "work": work.tolist(),
            "seconds": time.perf_counter() - start,
            "stop": history["stop"],
            "gradient_norm": history["gradient_norm"][-1],
        }
    )
    print("Newton-CG", f"{history['loss'][-1]:.4g}", history["stop"], flush=True)
    return rows


def best(rows):
    """Of each method on the net, the row with the lowest loss at the end."""
    found = {}
    for row in rows:
        if row["what"] == "net":
            other = found.setdefault(row["method"], row)
            found[row["method"]] = min(other, row, key=lambda r: r["loss"][0])
    return found


def draw(rows, path):
    """The first steps in the valley; f by step; the net's loss by work."""
    from matplotlib.figure import Figure

    colours = {
        "gradient descent": "#999999",
        "momentum": "#e69f00",
        "SGD with momentum": "#e69f00",
        "Adam": "#56b4e9",
        "DiagonalNewton": "#d55e00",
        "Newton-CG": "#0072b2",
    }
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    steps, work = figure.subplots(1, 2)
    for row in rows:
        if row["what"] == "quadratic":
            f = np.maximum(row["f"], 1e-12)
            style = {"marker": "o"} if len(f) == 2 else {}
            one = row["method"] == "DiagonalNewton"  # the same point after one step
            steps.plot(
                range(len(f)),
                f,
                color=colours[row["method"]],
                label=row["method"],
                linestyle="--" if one else "-",
                markersize=4,
                **style,
            )
    steps.set(xlabel="step", ylabel="f (1e-12 and less drawn there)", yscale="log")
    steps.set_title(f"quadratic of condition {CONDITION:g}", size=10)
    steps.legend(frameon=False, fontsize=8)
    for method, row in best(rows).items():
        label = method
        if "learning_rate" in row:
            label += f", rate {row['learning_rate']:g}"
        work.plot(row["work"], row["losses"], color=colours[method], label=label)
    work.set(xlabel="work (gradients of the whole data)", ylabel="training loss")
    work.set(xscale="log", yscale="log")
    work.set_title("digits, 64-32-10 net", size=10)
    work.legend(frameon=False, fontsize=8)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--newton", type=int, default=30)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    rows = quadratic_rows() + net_rows(asked.epochs, asked.newton)
    command = f"--epochs {asked.epochs} --newton {asked.newton}"
    write(
        asked.out / "benchmarks/results/second_order.json",
        f"python examples/second_order.py {command}",
        rows,
    )
    draw(rows, asked.out / "docs/figures/second_order.svg")


if __name__ == "__main__":
    main()
