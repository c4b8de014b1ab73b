"""The layer that first went bad is the one that is named."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts.training.nonfinite import first_bad


class Root(keras.layers.Layer):
    """sqrt(|x| + shift): finite at 0, with an infinite gradient there."""

    def call(self, x):
        return ops.sqrt(x)


class Log(keras.layers.Layer):
    def call(self, x):
        return ops.log(x)


class Nested(keras.Model):
    """Subclassed, with a layer in it that cannot take what it is given."""

    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential(
            [keras.layers.Dense(2, name="fine"), Log(name="log")]
        )
        self.end = keras.layers.Dense(1, name="end")

    def call(self, x):
        return self.end(self.inner(x))


X, Y = np.zeros((4, 3), "float32"), np.zeros((4, 1), "float32")


def compiled(*layers):
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile("sgd", "mse")
    return model


def test_a_sound_step_has_nothing_bad_and_changes_nothing():
    model = compiled(
        keras.layers.Dropout(0.5),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(1),
    )
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    before = [v.numpy() for v in model.variables]
    assert first_bad(model, x, Y) is None
    for a, b in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    assert "call" not in vars(model.layers[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_data(bad):
    x = X.copy()
    x[1, 2] = bad
    model = compiled(keras.layers.Dense(1))
    assert first_bad(model, x, Y) == "the input data (1 of 12 elements of the batch)"
    y = np.full((4, 1), bad, "float32")
    assert first_bad(model, X, y) == "the target data (4 of 4 elements of the batch)"


def test_a_bad_weight():
    model = compiled(keras.layers.Dense(1, name="head"))
    model.get_layer("head").bias.assign([np.nan])
    assert first_bad(model, X, Y).startswith("weight 'bias' of layer 'head' (Dense)")


def test_a_bad_output_is_the_first_one():
    model = compiled(
        keras.layers.Dense(2, name="fine"), Log(name="log"), keras.layers.Dense(1)
    )
    assert first_bad(model, X, Y) == "the output of layer 'log' (Log) (8 of 8 elements)"


def test_nested_and_subclassed_models():
    model = Nested()
    model.compile("sgd", "mse")
    model(X)
    assert first_bad(model, X, Y).startswith("the output of layer 'log' (Log)")


def test_a_bad_gradient_is_the_first_one_backwards():
    model = compiled(
        keras.layers.Dense(3, name="first"),
        keras.layers.Dense(2, name="before_root"),
        Root(name="root"),
        keras.layers.Dense(1, name="after"),
    )
    # The gradient is finite after the root, infinite before it and nan below that.
    found = first_bad(model, X, Y + 1)
    assert found.startswith("the gradient of 'kernel' of layer 'before_root'")


def test_a_loss_that_overflows():
    model = compiled(keras.layers.Dense(1))
    y = np.full((4, 1), 1e30, "float32")
    assert first_bad(model, X, y) == "the loss, from outputs that are finite"
