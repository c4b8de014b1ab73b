"""LeNet-300-100, made sparse in one of three ways: its error and its compression."""

import keras
from keras import layers as kl

from examples.claims.data import images
from examples.claims.sparsity.references import (
    FallingRate,
    InputNoise,
    counts,
    method_of,
)
from keras_dlparts import many_steps


def trained(
    seed, data, method, setting, rate, noise, epochs, widths, batch_size, train=None
):
    """(model, test images, their classes), trained with Adam, whose rate falls linearly
    to 0, and with noise on the inputs.

    `setting` is the fraction of weights that our layers keep under `target`, the
    strength of their prior under `ours`, or the sparsity that pruning ends with.
    """
    found = images(data, train)
    x, y = found.x[..., None], found.y
    wrap, callbacks = method_of(method, setting, len(x), epochs, seed)
    inputs = keras.Input(x.shape[1:])
    hidden = InputNoise(noise, seed)(kl.Flatten()(inputs))
    for units in widths:
        hidden = wrap(kl.Dense(units, "relu"))(hidden)
    model = keras.Model(inputs, wrap(kl.Dense(10))(hidden))
    steps = epochs * -(-len(x) // batch_size)
    decay = keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(decay), loss, metrics=["accuracy"])
    callbacks = [FallingRate(), *callbacks]
    batches = many_steps(model, x, y, batch_size, callbacks, seed=seed)
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model, found.x_test[..., None], found.y_test


def run(seed, data, **settings):
    """Its error in % and how many times fewer weights it has left."""
    model, x, y = trained(seed, data, **settings)
    result = model.evaluate(x, y, batch_size=256, verbose=0, return_dict=True)
    left, weights = counts(model)
    return {
        "error": 100 * (1 - result["accuracy"]),
        "compression": weights / max(left, 1),
    }
