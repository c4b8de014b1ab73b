"""LeNet-300-100, made sparse in one of three ways: its error and its compression."""

import warnings

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


def run(
    seed, data, method, setting, rate, noise, epochs, widths, batch_size, train=None
):
    """Train with Adam, whose rate falls linearly to 0, and with noise on the inputs.

    `setting` is the fraction of weights that our layers are steered to, or the sparsity
    that pruning ends with.
    """
    found = images(data, train)
    x, y = found.x[..., None], found.y
    wrap, callbacks = method_of(method, setting, len(x), epochs, seed)
    inputs = keras.Input(x.shape[1:])
    hidden = InputNoise(noise, seed)(kl.Flatten()(inputs))
    callbacks = [FallingRate(), *callbacks]
    for units in widths:
        hidden = wrap(kl.Dense(units, "relu"))(hidden)
    model = keras.Model(inputs, wrap(kl.Dense(10))(hidden))
    steps = epochs * -(-len(x) // batch_size)
    decay = keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(decay), loss, metrics=["accuracy"])
    batches = many_steps(model, x, y, batch_size, callbacks, seed=seed)
    with warnings.catch_warnings():  # the compression tells it
        warnings.filterwarnings("ignore", "`SparsityTarget` did not reach its target")
        options = {"epochs": epochs, "shuffle": False, "verbose": 0}
        model.fit(batches, callbacks=callbacks, **options)
    test = found.x_test[..., None], found.y_test
    result = model.evaluate(*test, batch_size=256, verbose=0, return_dict=True)
    left, weights = counts(model)
    return {
        "error": 100 * (1 - result["accuracy"]),
        "compression": weights / max(left, 1),
    }
