"""project_noise, against least squares."""

import keras
import numpy as np
import pytest
from helpers.precision import FLOAT64
from keras import layers as kl
from keras import ops

import keras_dlparts
from keras_dlparts.analysis import dropping
from keras_dlparts.layers import RandomDropout

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(1, 2, (6, 4)).astype("float32")


def linear(units):
    """Linear layers with singular values of one, each with dropout after it."""
    layers = []
    for i, width in enumerate(units):
        dense = kl.Dense(width, kernel_initializer="orthogonal")
        layers += [dense, kl.Dropout(0.5, name=f"drop{i}")]
    return keras.Sequential([keras.Input((4,)), *layers])


def least_squares(model, x, seed):
    """For each layer the z nearest to g_i(z) = g~_i(x), when g_i(z) = z A_i + b_i."""
    dropping.reseed(model, seed)
    A, b, h = np.eye(4), np.zeros(4), x
    found = {}
    for dense, drop in zip(model.layers[::2], model.layers[1::2], strict=True):
        kernel, bias = dense.get_weights()
        A, b = A @ kernel, b @ kernel + bias
        h = ops.convert_to_numpy(drop(h @ kernel + bias, training=True))
        z = np.linalg.lstsq(A.T, (h - b).T, rcond=None)[0].T
        left = np.linalg.norm(z @ A + b - h, axis=1)
        found[drop.name] = z, left / np.linalg.norm(x @ A + b - h, axis=1)
    return found


@pytest.mark.parametrize("units", [(4, 3), (7, 9)])
def test_a_linear_net_is_projected_as_least_squares_says(units):
    """Fewer units than inputs: no residual. More: that of the best z."""
    model = linear(units)
    found = keras_dlparts.project_noise(
        model, X, steps=80, seed=3, optimizer=keras.optimizers.SGD(0.5), batch_size=4
    )
    # Masks follow the batches.
    wants = least_squares(model, X[:4], 3)
    assert list(found.inputs) == ["drop0", "drop1"]
    for name, (z, residual) in wants.items():
        np.testing.assert_allclose(found.residual[name][:4], residual, atol=1e-3)
        if units[0] > 4:  # else many z do equally well
            np.testing.assert_allclose(found.inputs[name][:4], z, atol=1e-2)
    assert found.inputs["drop0"].shape == (6, 4)
    assert found.residual["drop1"].shape == (6,)


def convolutional():
    shared = RandomDropout(0.9, name="shared")
    inputs = keras.Input((4, 4, 2))
    x = shared(kl.Conv2D(3, 3, activation="tanh")(inputs))
    x = shared(kl.BatchNormalization()(x))
    return keras.Model(inputs, kl.Dense(2)(kl.Flatten()(x)))


@pytest.mark.long
def test_the_residual_falls_and_the_model_stays():
    keras.utils.set_random_seed(0)
    model = convolutional()
    x = RANDOM.normal(size=(5, 4, 4, 2)).astype("float32")
    before = [v.numpy() for v in model.variables]
    few, many, again = (
        keras_dlparts.project_noise(model, x, steps=steps, seed=1)
        for steps in (5, 80, 80)
    )
    assert list(many.inputs) == ["shared (1)", "shared (2)"]
    for name, residual in many.residual.items():
        assert many.inputs[name].shape == x.shape
        assert residual.mean() < min(0.9, few.residual[name].mean())
        np.testing.assert_allclose(residual, again.residual[name], rtol=1e-4)
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_the_residual_is_what_it_says():
    """|| g(x*) - g~(x) || / || g(x) - g~(x) ||, from the model's own layers."""
    dense, drop = kl.Dense(8, "tanh"), kl.Dropout(0.5)
    model = keras.Sequential([keras.Input((4,)), dense, drop])
    found = keras_dlparts.project_noise(model, X, steps=5, seed=2, optimizer="adam")
    dropping.reseed(model, 2)
    goal = ops.convert_to_numpy(model(X, training=True))
    star = found.inputs[drop.name]
    now, first = (ops.convert_to_numpy(model(z)) - goal for z in (star, X))
    want = np.linalg.norm(now, axis=1) / np.linalg.norm(first, axis=1)
    np.testing.assert_allclose(found.residual[drop.name], want, rtol=1e-3)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", FLOAT64])
def test_every_dtype_of_the_net_and_of_the_session(policy):
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        drop = kl.Dropout(0.5, name="drop")
        dense = kl.Dense(2, kernel_initializer="identity")
        model = keras.Sequential([keras.Input((4,)), dense, drop])
        found = keras_dlparts.project_noise(model, X, steps=80, seed=3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert found.inputs["drop"].dtype == "float32"
    assert (found.residual["drop"] < 0.05).all()  # 4 inputs can reach any 2 outputs


def test_an_optimizer_can_be_used_again():
    optimizer = keras.optimizers.SGD(0.01)
    for _ in range(2):
        keras_dlparts.project_noise(linear((3,)), X, steps=1, optimizer=optimizer)
    assert not optimizer.built


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"steps": 0}, ValueError, "`steps` must be at least 1"),
        ({"batch_size": 1.5}, TypeError, "`batch_size` must be an integer"),
        ({"x": {"a": X, "b": X}}, TypeError, r"one array of inputs.*Received: dict"),
        ({"x": X[:0]}, ValueError, "at least one sample"),
        ({"layers": ["no"]}, ValueError, "`layers` must name layers of the model"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        keras_dlparts.project_noise(linear((3,)), **{"x": X, **arguments})


def test_a_layer_that_sees_another_batch():
    rows = kl.Lambda(lambda x: ops.reshape(x, (-1, 1)), output_shape=(1,))
    model = keras.Sequential([keras.Input((4,)), rows, kl.Dropout(0.5)])
    with pytest.raises(ValueError, match=r"on the batch as it is.*\(24, 1\) for 6"):
        keras_dlparts.project_noise(model, X)


@pytest.mark.long
def test_the_default_search_ends_near_by():
    """Many inputs lead a layer there; momentum ends at a far one, no better."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((64,)), kl.Dense(64, "relu"), kl.Dropout(0.5, name="drop")]
    model = keras.Sequential(layers)
    x = RANDOM.uniform(size=(32, 64)).astype("float32")
    momentum = keras.optimizers.SGD(0.2, momentum=0.9)
    ours, theirs = (
        keras_dlparts.project_noise(model, x, seed=1, optimizer=optimizer, verbose=0)
        for optimizer in (None, momentum)
    )
    near, far = (np.linalg.norm(a.inputs["drop"] - x, axis=1) for a in (ours, theirs))
    assert near.mean() < 0.7 * far.mean()
    assert ours.residual["drop"].mean() < theirs.residual["drop"].mean()
