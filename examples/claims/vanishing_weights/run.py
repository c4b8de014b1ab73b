"""A linear model of two weights under penalties of growing strength."""

import keras
import numpy as np

BEST = 0.4, 1.2  # the weights without a penalty
PENALTIES = {"L1": keras.regularizers.L1, "L2": keras.regularizers.L2}


def run(seed, data, penalty, strengths, epochs):
    """The two weights that each strength leaves; the figures are those of the last."""
    x, y = weighed(seed)
    path = [fitted(x, y, penalty, strength, epochs) for strength in strengths]
    smaller, larger = path[-1]
    return {"smaller": smaller, "larger": larger, "path": path}


def weighed(seed):
    """(x, y) whose best weights are BEST, the inputs being correlated."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(200, 2)) @ np.array([[1.0, 0.4], [0.0, 0.9]])
    return x.astype("float32"), (x @ BEST)[:, None].astype("float32")


def fitted(x, y, penalty, strength, epochs):
    dense = keras.layers.Dense(
        1,
        use_bias=False,
        kernel_initializer="zeros",
        kernel_regularizer=PENALTIES[penalty](strength),
    )
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 20, 0.8)
    model = keras.Sequential([keras.Input((2,)), dense])
    model.compile(keras.optimizers.SGD(rate), "mse", steps_per_execution=20)
    model.fit(x, y, 10, epochs=epochs, verbose=0)
    return dense.get_weights()[0][:, 0].tolist()


def draw(figure, rows):
    """The first seed: the weights, the loss, and the penalty's ball."""
    figure.set_size_inches(7, 3.5)
    seed = rows[0]["seed"]
    x, y = weighed(seed)
    a, b = np.meshgrid(np.linspace(-0.6, 1.2, 80), np.linspace(-0.4, 1.8, 80))
    loss = ((x @ [a.ravel(), b.ravel()] - y) ** 2).mean(axis=0).reshape(a.shape)
    turn = np.linspace(0, 2 * np.pi, 201)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    balls = {"L1": circle / np.abs(circle).sum(axis=0), "L2": circle}
    panels = figure.subplots(1, len(balls), sharey=True)
    for axes, (way, ball) in zip(panels, balls.items(), strict=True):
        axes.contour(a, b, loss, levels=8, colors="#cccccc", linewidths=0.8)
        for row in rows:
            if (row["way"], row["seed"]) == (way, seed):
                weights = np.array([BEST, *row["path"]])
                axes.plot(*weights.T, "o-", color="#0072b2", markersize=4)
                size = np.linalg.norm(weights[-1], ord=int(way[1]))
                axes.plot(*(size * ball), color="#d55e00", linewidth=1)
        axes.set(title=way, xlabel="first weight", xlim=(-0.6, 1.2), ylim=(-0.4, 1.8))
        axes.axvline(0, color="black", linewidth=0.5)
        axes.axhline(0, color="black", linewidth=0.5)
        axes.set_aspect("equal")
    panels[0].set_ylabel("second weight")
