"""A net of four layers of 256 units, and how many of them answer to no image."""

import keras
import numpy as np
from keras import layers as kl

from examples.claims.deep_nets import centred
from keras_dlparts.callbacks import ActivationHealth


def run(seed, data, activation, learning_rate, steps, batch=64, units=256):
    train, test = centred(data, None)
    layers = [kl.Dense(units, activation) for _ in range(4)]
    net = [keras.Input((28, 28)), kl.Flatten(), *layers, kl.Dense(10)]
    model = keras.Sequential(net)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    sgd = keras.optimizers.SGD(learning_rate, momentum=0.9)
    model.compile(sgd, loss, metrics=["accuracy"])
    x, y = (part[: steps * batch] for part in train)
    watch = []
    if activation == "relu":  # a leaky unit answers a little to every image
        seen = ActivationHealth(every=20, data=tuple(part[:1000] for part in train))
        watch = [seen]
    logs = model.fit(x, y, batch, verbose=0, callbacks=watch).history
    accuracy = model.evaluate(*test, batch_size=500, verbose=0)[1]
    found = {"test_accuracy": accuracy}
    if watch:
        found["dead_units"] = logs["dead_units"][-1]
        found["dead_by_layer"] = np.array(seen.history["dead"]).T.tolist()
        found["steps"] = seen.history["step"]
    return found


def draw(figure, rows):
    """Dead units layer by layer and step, at the highest rate, and what it costs."""
    figure.set_size_inches(9, 3.2)
    left, right = figure.subplots(1, 2)
    shown = [row for row in rows if row.get("dead_by_layer")]
    highest = max(shown, key=lambda row: row["settings"]["learning_rate"], default=None)
    if highest:
        for number, shares in enumerate(highest["dead_by_layer"], 1):
            left.plot(highest["steps"], shares, label=f"layer {number}")
        left.set_title(f"{highest['way']}, seed {highest['seed']}", size=9)
        left.legend(fontsize=8)
    left.set(xlabel="step", ylabel="share of dead units")
    for row in rows:
        kind = row["settings"]["activation"]
        colour = {"relu": "C0", "leaky_relu": "C1"}[kind]
        right.plot(
            row["settings"]["learning_rate"], row["test_accuracy"], "o", c=colour
        )
    right.plot([], [], "oC0", label="ReLU")
    right.plot([], [], "oC1", label="leaky ReLU")
    right.set(xlabel="learning rate", ylabel="test accuracy", xscale="log")
    right.legend(fontsize=8)
