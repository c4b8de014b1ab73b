"""A deep belief net, fine-tuned on few labels with and without pre-training."""

import keras
import numpy as np

from examples.claims.data import flat_images
from keras_dlparts.models import DBN

BATCH = 50


def run(seed, data, pretrain, units, epochs, rate, steps, shares, train=None):
    """The test error in % after fine-tuning on each of two shares of the labels."""
    found = flat_images(data, train)
    x, y = found.x, found.y
    random = np.random.default_rng(seed)
    model = DBN(units, classes=10, dropout=0.2, input_shape=(784,), seed=seed)
    if pretrain:
        model.pretrain(x, epochs, learning_rate=rate, data_init=True, monitor=False)
    start, result = model.get_weights(), {}
    for name, share in zip(("error_few", "error_more"), shares, strict=True):
        model.set_weights(start)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss)
        # The same number of steps for each share, so that none learns longer.
        rows = labelled(y, share, steps * BATCH, random)
        model.fit(x[rows], y[rows], batch_size=BATCH, epochs=1, verbose=0)
        logits = model.predict(found.x_test, batch_size=1000, verbose=0)
        error = 100 * float((logits.argmax(axis=1) != found.y_test).mean())
        result[name] = error
    return result


def labelled(y, share, count, random):
    """`count` rows of a share of each class, in an order that is new each time."""
    chosen = np.concatenate(
        [
            random.permutation(rows)[: max(1, round(share * len(rows)))]
            for rows in (np.flatnonzero(y == label) for label in range(10))
        ]
    )
    orders = [random.permutation(chosen) for _ in range(-(-count // len(chosen)))]
    return np.concatenate(orders)[:count]
