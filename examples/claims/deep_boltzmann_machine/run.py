"""A deep Boltzmann machine that learns binary images: its bound, and its classifier."""

import math

import keras
import numpy as np

from examples.claims.likelihoods import BATCH, binarized, flat, measured
from keras_dlparts.models import DBM


def run(
    seed,
    data,
    layer_epochs,
    epochs,
    units,
    layer_rate,
    rate,
    fine_tuning,
    ais_steps,
    train=None,
):
    """Learn layer by layer, if `layer_epochs`, and then as one; then with labels."""
    grey, test, y, y_test = flat(data, train)
    random = np.random.default_rng(seed)
    some = {"k": 5, "inference_steps": 5, "data_init": True, "seed": seed}
    model = DBM(units, input_shape=(784,), **some)
    x = binarized(grey, random)
    model.machine.adapt(x)
    if layer_epochs:
        some = {"batch_size": BATCH, "learning_rate": layer_rate, "data_init": True}
        model.pretrain(x, layer_epochs, monitor=False, **some)
    optimizer = keras.optimizers.SGD(rate)
    model.compile(optimizer)
    for epoch in range(epochs):
        optimizer.learning_rate = rate * (1 - epoch / epochs)
        x = binarized(grey, random)
        model.fit(x, batch_size=BATCH, epochs=1, verbose=0)
    told = measured(model, model.bound, x, test, ais_steps)
    classifier = model.classifier(10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    steps = fine_tuning * math.ceil(len(grey) / BATCH)
    decay = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    classifier.compile(keras.optimizers.Adam(decay), loss)
    classifier.fit(grey, y, batch_size=BATCH, epochs=fine_tuning, verbose=0)
    logits = classifier.predict(test, batch_size=1000, verbose=0)
    error = 100 * float((logits.argmax(axis=1) != y_test).mean())
    return {"bound": told.pop("log_likelihood"), "test_error": error, **told}
