"""Every analysis leaves the model exactly as it was, even when it is stopped."""

import random

import keras
import numpy as np
import pytest

from keras_dlparts import backend
from keras_dlparts.analysis import along_the_step, fisher_diagonal, loss_landscape
from keras_dlparts.layers import RandomDropout

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 4)).astype("float32")
Y = RANDOM.integers(0, 3, 12)


def trained():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh"),
            keras.layers.BatchNormalization(),
            RandomDropout(0.5, seed=1),
            keras.layers.Dense(3),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(X, Y, batch_size=4, verbose=0)
    return model


def state(model):
    variables = [
        *model.variables,
        *model.optimizer.variables,
        *model.metrics_variables,
    ]
    values = [v.numpy() for v in variables]
    return values, random.getstate(), np.random.get_state()[1].tolist()


ANALYSES = {
    "landscape": lambda m: loss_landscape(m, (X, Y), points=3, verbose=False),
    "step": lambda m: along_the_step(m, X, Y, points=2),
    "fisher": lambda m: fisher_diagonal(m, X[:3]),
    "empirical fisher": lambda m: fisher_diagonal(m, X[:3], Y[:3]),
}


@pytest.mark.parametrize("name", ANALYSES)
def test_the_model_is_as_it_was(name):
    model = trained()
    before = state(model)
    ANALYSES[name](model)
    after = state(model)
    for ours, theirs in zip(before[0], after[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert before[1:] == after[1:]


@pytest.mark.long
def test_training_goes_on_as_if_nothing_had_been_measured():
    """Analyses between the epochs of a `fit` change nothing of it."""
    losses = []
    for watched in (False, True):
        keras.utils.set_random_seed(1)
        model = trained()

        class Look(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                ANALYSES["landscape"](self.model)
                ANALYSES["step"](self.model)

        calls = [Look()] if watched else []
        history = model.fit(
            X, Y, batch_size=4, epochs=3, verbose=0, shuffle=False, callbacks=calls
        )
        losses.append(history.history["loss"])
    assert losses[0] == losses[1]


def test_a_stop_by_hand_leaves_it_too():
    model = trained()
    before = state(model)[0]
    measure, calls = backend.gradient_function(model), []

    def stopped(*batch):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(*batch)

    with pytest.raises(KeyboardInterrupt):
        along_the_step(model, X, Y, gradient=stopped)
    for ours, theirs in zip(before, state(model)[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
