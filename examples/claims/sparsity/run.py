"""LeNet-300-100, made sparse in one of three ways: its error and its compression."""

import warnings

import keras
from keras import layers as kl

from examples.claims.data import images
from examples.claims.sparsity.references import counts, method_of


def run(seed, data, method, setting, rate, epochs, widths, batch_size, train=None):
    """Train with Adam, whose rate falls linearly to 0.

    `setting` is the fraction of weights that our layers are steered to, or the sparsity
    that pruning ends with.
    """
    found = images(data, train)
    x, y = found.x[..., None], found.y
    wrap, callbacks = method_of(method, setting, len(x), epochs, seed)
    inputs = keras.Input(x.shape[1:])
    hidden = kl.Flatten()(inputs)
    for units in widths:
        hidden = wrap(kl.Dense(units, "relu"))(hidden)
    model = keras.Model(inputs, wrap(kl.Dense(10))(hidden))
    steps = epochs * -(-len(x) // batch_size)
    decay = keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(decay), loss, metrics=["accuracy"])
    with warnings.catch_warnings():  # the compression tells it
        warnings.filterwarnings("ignore", "`SparsityTarget` did not reach its target")
        model.fit(x, y, batch_size, epochs, verbose=0, callbacks=callbacks)
    test = found.x_test[..., None], found.y_test
    result = model.evaluate(*test, batch_size=256, verbose=0, return_dict=True)
    left, weights = counts(model)
    return {
        "error": 100 * (1 - result["accuracy"]),
        "compression": weights / max(left, 1),
    }
