"""Methods of first and second order on a quadratic and on a small net.

On the net every loss is told with its work: gradients of the whole data, a
Hessian-vector product counting as two.
"""

import keras
import numpy as np

import keras_dlparts
from keras_dlparts.callbacks import HutchinsonCurvature
from keras_dlparts.data import Digits
from keras_dlparts.optimizers import DiagonalNewton

CONDITION, START = 1000.0, (5.0, 1.0)
BEST = 2 / (1 + CONDITION)  # the best constant step of gradient descent
ON_QUADRATIC = {
    "gradient descent": lambda: keras.optimizers.SGD(BEST),
    "momentum": lambda: keras.optimizers.SGD(BEST, momentum=0.9),
    "Adam": lambda: keras.optimizers.Adam(0.5),
    "DiagonalNewton": lambda: DiagonalNewton(1.0, beta_1=0.0, clip=None),
}
ON_NET = {
    "momentum": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "Adam": keras.optimizers.Adam,
    "DiagonalNewton": DiagonalNewton,
}


def run(seed, data, method, steps, epochs, rate=None):
    """What a method reaches on both, in so many steps and epochs."""
    path = on_quadratic(method, steps)
    row = {"first": path[1], "last": path[-1], "quadratic": path}
    if method == "Newton-CG":
        row |= by_newton(epochs)
    elif rate is not None:
        row |= by_optimizer(method, rate, epochs)
    return row


def on_quadratic(method, steps):
    """f = (x^2 + K y^2) / 2, the loss of a model with two weights, after each step."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.reshape(START, (2, 1))])
    x, zeros = np.diag([1.0, CONDITION**0.5]).astype("float32"), np.zeros((2, 1), "f")

    def f():
        a, b = model.get_weights()[0].ravel().astype("float64")
        return float((a**2 + CONDITION * b**2) / 2)

    path = [f()]
    if method == "Newton-CG":
        model.compile(loss="mse")
        keras_dlparts.newton(model, x, zeros, iterations=1, verbose=0)
        return [*path, f()]
    model.compile(ON_QUADRATIC[method](), "mse")
    calls = [HutchinsonCurvature(data=(x, zeros))] if "Newton" in method else []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: path.append(f()))
    model.fit(x, zeros, epochs=steps, verbose=0, callbacks=[*calls, note])
    return path


def digits():
    x, y = Digits().train.arrays()
    return (x / np.max(x)).reshape(len(x), -1).astype("float32"), y


def net():
    last = keras.layers.Dense(10, kernel_regularizer=keras.regularizers.L2(1e-4))
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, "tanh"), last])


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def by_optimizer(method, rate, epochs):
    """The training loss of a net by mini-batches of 64."""
    (x, y), model = digits(), net()
    model.compile(ON_NET[method](rate), LOSS)
    newton = method == "DiagonalNewton"
    batch = x[:256], y[:256]
    calls = [HutchinsonCurvature(every=10, data=batch)] if newton else []
    history = model.fit(x, y, 64, epochs, verbose=0, callbacks=calls).history
    # A product, of two gradients, on 256 samples each 10 steps of 64.
    each = 1 + (2 * 256 / (10 * 64) if newton else 0)
    work = [each * (i + 1) for i in range(epochs)]
    loss = float(model.evaluate(x, y, verbose=0))
    return {"loss": loss, "work": work[-1], "losses": history["loss"], "works": work}


def by_newton(iterations):
    """The training loss of the net by Newton's steps on all the data."""
    model = net()
    model.compile(loss=LOSS)
    options = {"iterations": iterations, "cg_iterations": 50, "cg_tolerance": 0.1}
    history = keras_dlparts.newton(model, *digits(), verbose=0, **options)
    # A trial of the line search is a gradient; one product more judges the step.
    steps = zip(history["step"][1:], history["cg_iterations"][1:], strict=True)
    costs = [1, *(1 - np.log2(a) + 2 * (inner + 1) for a, inner in steps)]
    work = np.cumsum(costs).tolist()
    losses = history["loss"]
    return {"loss": losses[-1], "work": work[-1], "losses": losses, "works": work}


def draw(figure, rows):
    """f by step in the valley; the net's loss by work, seed by seed."""
    colors = {
        "gradient descent": "#999999",
        "momentum": "#e69f00",
        "Adam": "#56b4e9",
        "DiagonalNewton": "#d55e00",
        "Newton-CG": "#0072b2",
    }
    figure.set_size_inches(11, 3.6)
    steps, work = figure.subplots(1, 2)
    first = min(row["seed"] for row in rows)
    for row in rows:
        color, label = colors[row["way"]], row["way"] if row["seed"] == first else None
        f = np.maximum(row["quadratic"], 1e-12)
        if label:
            one = label == "DiagonalNewton"  # the same point after one step
            options = {"ls": "--" if one else "-", "marker": "o" if len(f) == 2 else ""}
            steps.plot(range(len(f)), f, color=color, label=label, ms=4, **options)
        if "losses" in row:
            work.plot(row["works"], row["losses"], color=color, label=label, lw=1)
    steps.set(xlabel="step", ylabel="f (1e-12 and less drawn there)", yscale="log")
    steps.set_title(f"quadratic of condition {CONDITION:g}", size=10)
    steps.legend(frameon=False, fontsize=8)
    work.set(xlabel="work (gradients of the whole data)", ylabel="training loss")
    work.set(xscale="log", yscale="log")
    work.set_title("digits, 64-32-10 net", size=10)
    work.legend(frameon=False, fontsize=8)
