"""A net without dropout, trained on inputs that have the effect of dropout's masks."""

import base64

import keras
import numpy as np
from keras import layers as kl

import keras_dlparts
from examples.claims.data import flat_images
from examples.claims.pictures import by_way

BATCH, MEASURED = 100, 1000
TITLES = {  # of the three pictures of a way; the images are shown once
    "projections": ("image", "projected,\nlayer 1", "projected,\nlayer 2"),
    "noise": (None, "Gaussian,\nas long as 1", "Gaussian,\nas long as 2"),
}


def nets(units):
    """A net with dropout and one without it that has the same layers."""
    hidden = [kl.Dense(units, "relu") for _ in range(2)]
    last, inputs = kl.Dense(10), keras.Input((784,))
    noisy = [inputs]
    for number, layer in enumerate(hidden, 1):
        noisy += [layer, kl.Dropout(0.5, name=f"after_layer_{number}")]
    models = keras.Sequential([*noisy, last]), keras.Sequential([inputs, *hidden, last])
    for model in models:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss)
    return models


def run(seed, data, learn, units, rounds, epochs, steps, rate, train=None):
    """Train in rounds of `epochs` of the data, or of as many samples that are noisy.

    `learn` says what is learnt after the first round: the data alone; the data through
    dropout; the data and its projections, two for each image; or the data and twice the
    data with Gaussian noise that is as long as the projections'.
    """
    found = flat_images(data, train)
    x, y = found.x, found.y
    random = np.random.default_rng(seed)
    noisy, clean = nets(units)
    result = {}
    if learn == "dropout":
        fit(noisy, x, y, rounds * epochs)
    elif learn == "data":
        fit(clean, x, y, rounds * epochs)
    else:
        fit(clean, x, y, epochs)
        for number in range(1, rounds):
            shown = x if learn == "projections" else x[:MEASURED]
            projected = keras_dlparts.project_noise(
                noisy,
                shown,
                steps=steps,
                seed=1000 * seed + number,
                optimizer=keras.optimizers.SGD(rate, momentum=0.9),
                verbose=0,
            )
            moved = [star - shown for star in projected.inputs.values()]
            if learn == "noise":
                moved = [as_long(each, x.shape, random) for each in moved]
            parts = [x, *(x + each for each in moved)]
            # As many samples as in the other rounds, one in three of them real.
            fit(clean, np.concatenate(parts), np.tile(y, 3), epochs // 3)
        result = {
            "residuals": [float(r.mean()) for r in projected.residual.values()],
            "lengths": [float(np.linalg.norm(m, axis=1).mean()) for m in moved],
            "shown": [[packed(image) for image in part[:3]] for part in parts],
        }
    logits = clean.predict(found.x_test, batch_size=1000, verbose=0)
    error = 100 * float((logits.argmax(axis=1) != found.y_test).mean())
    return {"error": error, **result}


def fit(model, x, y, epochs):
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)


def as_long(moved, shape, random):
    """Gaussian noise whose rows are as long as rows of `moved`, drawn by chance."""
    lengths = random.choice(np.linalg.norm(moved, axis=1), (shape[0], 1))
    noise = random.normal(size=shape)
    noise *= lengths / np.linalg.norm(noise, axis=1, keepdims=True)
    return noise.astype("float32")


def packed(image):
    """An image as text: its values from -1 to 2 in 255 steps."""
    grey = np.clip((np.asarray(image) + 1) * (255 / 3), 0, 255).astype("uint8")
    return base64.b64encode(grey.tobytes()).decode()


def unpacked(text):
    grey = np.frombuffer(base64.b64decode(text), "uint8").reshape(28, 28)
    return grey * (3 / 255) - 1


def draw(figure, rows):
    """Images, their projections and noise of that length; and the test errors."""
    left, right = figure.subfigures(1, 2, width_ratios=[1.2, 1])
    by_learn = {row["settings"]["learn"]: row for row in reversed(rows)}
    columns = [
        (title, image)
        for learn, titles in TITLES.items()
        if learn in by_learn
        for title, image in zip(titles, by_learn[learn]["shown"], strict=True)
        if title
    ]
    grid = left.subplots(3, len(columns), squeeze=False)
    for j, (name, shown) in enumerate(columns):
        grid[0, j].set_title(name, size=7)
        for axes, image in zip(grid[:, j], shown, strict=True):
            axes.imshow(unpacked(image), cmap="gray_r", vmin=-1, vmax=2)
            axes.set(xticks=[], yticks=[])
    axes = right.subplots()
    ways = list(dict.fromkeys(row["way"] for row in rows))
    by_way(axes, rows, "error", ways)
    axes.set_yticks(range(len(ways)), ways)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("test error, %")
