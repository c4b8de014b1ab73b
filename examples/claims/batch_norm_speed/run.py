"""The paper's net for MNIST: three hidden layers of sigmoid units, batches of 60."""

import keras
import numpy as np

from examples.claims.data import flat_images

BATCH = 60


def run(seed, data, batch_norm, rate, steps, units, every, test):
    """The test accuracy each so many steps, by plain gradient descent.

    Where an accuracy is not reached its number of steps is that of the training.
    """
    found = flat_images(data)
    tested = found.x_test[:test], found.y_test[:test]
    small = keras.initializers.RandomNormal(stddev=0.1)
    layers = []
    for _ in range(3):
        layers += [keras.layers.Dense(units, kernel_initializer=small)]
        layers += [keras.layers.BatchNormalization(momentum=0.9)] if batch_norm else []
        layers += [keras.layers.Activation("sigmoid")]
    last = keras.layers.Dense(10, kernel_initializer=small)
    model = keras.Sequential([keras.Input((784,)), *layers, last])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"metrics": ["accuracy"], "steps_per_execution": every}
    model.compile(keras.optimizers.SGD(rate), loss, **options)
    random = np.random.default_rng(seed)
    at, accuracies = [], []
    for step in range(every, steps + 1, every):
        chosen = random.integers(len(found.x), size=every * BATCH)
        model.fit(found.x[chosen], found.y[chosen], BATCH, shuffle=False, verbose=0)
        _, accuracy = model.evaluate(*tested, test // 5, verbose=0)
        at.append(step)
        accuracies.append(accuracy)

    def first(level):
        return next(
            (s for s, a in zip(at, accuracies, strict=True) if a >= level), steps
        )

    return {
        "steps_to": first(0.9),
        "steps_to_95": first(0.95),
        "test_accuracy": float(np.mean(accuracies[-5:])),
        "step": at,
        "accuracies": accuracies,
    }


def draw(figure, rows):
    """The test accuracy by step, the mean over the seeds."""
    figure.set_size_inches(9, 4)
    axes = figure.add_subplot()
    ways = dict.fromkeys(row["way"] for row in rows)
    for way in ways:
        of = [row for row in rows if row["way"] == way]
        settings = of[0]["settings"]
        color = "#0072b2" if settings["batch_norm"] else "#d55e00"
        style = {0.1: "-", 0.5: "--", 3.0: ":"}[settings["rate"]]
        mean = np.mean([row["accuracies"] for row in of], axis=0)
        axes.plot(of[0]["step"], mean, style, color=color, label=way)
    axes.axhline(0.9, color="#999999", lw=0.6)
    axes.axhline(0.95, color="#999999", lw=0.6)
    axes.set(xlabel="step", ylabel="test accuracy", ylim=(0.6, 1))
    figure.legend(loc="outside right")
