"""ActivationHealth sees what a hand computation sees, and moves nothing."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts.callbacks import ActivationHealth
from keras_dlparts.watched import flat_ends

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 4)).astype("float32")
Y = RANDOM.normal(size=(16, 2)).astype("float32")


def biased(units, activation, biases, **more):
    bias = keras.initializers.Constant(np.array(biases, "float32"))
    return kl.Dense(units, activation, bias_initializer=bias, **more)


def net():
    """Two dead and a living ReLU, two saturated and a living tanh, a shared layer."""
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    h = biased(3, "relu", [-90, 0, -90], name="first")(x)
    h = kl.BatchNormalization(name="norm")(kl.Dropout(0.5, seed=1)(h))
    h = biased(3, "tanh", [90, -90, 0], name="second")(h)
    shared = kl.Dense(3, "sigmoid", name="shared")
    h = kl.ReLU(name="own")(shared(shared(h)) - 0.5)
    model = keras.Model(x, kl.Dense(2, name="linear")(h))
    model.compile("sgd", "mse")
    return model


def fit(model, *callbacks, **more):
    options = {"batch_size": 8, "shuffle": False, "verbose": 0, **more}
    return model.fit(X, Y, callbacks=callbacks, **options)


@pytest.mark.long
def test_it_finds_the_units_that_were_planted_and_changes_nothing():
    plain = net()
    losses = fit(plain, epochs=2).history["loss"]
    model, health = net(), ActivationHealth(every=1, data=(X, Y))
    kernel, bias = (w.numpy() for w in model.get_layer("first").weights)
    history = fit(model, health, epochs=2).history
    assert history["loss"] == losses
    for ours, theirs in zip(model.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert health.layers == ["first", "second", "shared", "shared (call 2)", "own"]
    assert health.history["step"] == [0, 1, 2, 3]
    dead, saturated = (np.array(health.history[k]) for k in ("dead", "saturated"))
    np.testing.assert_allclose(dead[:, :2], [[2 / 3, 2 / 3]] * 4)
    assert np.isnan(saturated[:, [0, 4]]).all()
    assert (saturated[:, 1] >= 2 / 3).all()
    assert (saturated[:, 2:4] < 0.1).all()
    assert (health.dead_since["first"] == [0, -1, 0]).all()
    assert set(history) == {"loss", "dead_units", "saturated"}
    first = ActivationHealth(every=100, data=(X, Y))
    fit(net(), first)
    np.testing.assert_allclose(
        first.units["first"], (X @ kernel + bias <= 0).mean(axis=0)
    )
    assert first.history["step"] == [0]


def test_images_have_their_units_where_the_setting_says():
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), kl.Conv2D(5, 3, activation="relu"), kl.Flatten()]
    )
    model.compile("sgd", "mse")
    x = RANDOM.normal(size=(4, 6, 6, 1)).astype("float32")
    health = ActivationHealth(data=(x, np.zeros((4, 80))))
    health.set_model(model)
    health.on_train_begin()
    health.measure(0, x)
    (s,) = health.units.values()
    conv = model.layers[0]
    u = keras.ops.convert_to_numpy(keras.ops.conv(x, conv.kernel)) + conv.bias.numpy()
    np.testing.assert_allclose(s, (u <= 0).mean(axis=(0, 1, 2)), atol=1e-6)


def test_a_unit_that_comes_back_is_dead_no_more():
    model, health = net(), ActivationHealth(data=(X, Y))
    health.set_model(model)
    health.on_train_begin()
    health.measure(0, X)
    model.get_layer("first").bias.assign([0.0, 0.0, -90.0])
    health.measure(5, X)
    model.get_layer("first").bias.assign([-90.0, 0.0, -90.0])
    health.measure(7, X)
    assert (health.dead_since["first"] == [7, -1, 0]).all()


@pytest.mark.long
def test_it_warns_once_a_layer_and_may_stop():
    health = ActivationHealth(every=1, limit=0.6, stop=True, data=(X, Y))
    model = net()
    with pytest.warns(UserWarning, match="so little gradient passes") as told:
        fit(model, health, epochs=3)
    # Other layers may have dead units too, by the draw of their weights.
    texts = [str(each.message) for each in told]
    first, second, *_ = (text for text in texts if "so little gradient" in text)
    assert first.startswith("first at step 0: 67% of its units are dead, so little")
    assert "67% of its units are dead and 67% of its values are sat" in second
    assert model.stop_training
    assert health.history["step"] == [0]
    assert health.warned[:2] == ["first", "second"]
    assert len(health.warned) == len({*health.warned})
    fit(net(), ActivationHealth(limit=1.0, data=(X, Y)))


def test_a_run_shows_it():
    pytest.importorskip("matplotlib")
    health = ActivationHealth(every=1, data=(X, Y))
    assert health.figures(None) == {}
    fit(net(), health)
    *pictures, table = health.figures(None).values()
    assert [hasattr(picture, "savefig") for picture in pictures] == [True] * 3
    assert table[0] == {
        "layer": "first",
        "dead": "66.7%",
        "saturated": "",
        "dead at least since": "step 0",
    }
    columns = health.measurements()["activation_health"]
    assert [*columns][:3] == ["step", "dead:first", "dead:second"]
    assert "saturated:first" not in columns


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        ("relu", 0.0, np.inf),
        ("relu6", 0.0, 6.0),
        ("tanh", -2.18, 2.18),  # 1 - tanh^2 = 0.05 at artanh(sqrt(0.95)) = 2.178
        ("sigmoid", -4.36, 4.36),  # s (1 - s) = 0.0125: s = 0.98734, log odds 4.357
        ("linear", -np.inf, np.inf),
        ("leaky_relu", -np.inf, np.inf),
    ],
)
def test_where_activations_are_flat(function, low, high):
    found = flat_ends(keras.activations.get(function))
    assert found == pytest.approx((low, high), abs=0.011)


def test_what_is_no_function_of_each_element_has_no_flat_ends():
    assert flat_ends(keras.activations.softmax) is None
    assert flat_ends(keras.activations.glu) is None


def test_bad_arguments_are_refused():
    for limit in (0.0, 1.1):
        with pytest.raises(ValueError, match="`limit` must be"):
            ActivationHealth(limit=limit)
    with pytest.raises(ValueError, match="`stop` needs to know when"):
        ActivationHealth(stop=True)
    model = keras.Sequential([keras.Input((4,)), kl.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="an activation with a flat end"):
        fit(model, ActivationHealth(data=(X, Y)))
    with pytest.raises(ValueError, match="needs a batch"):
        fit(net(), ActivationHealth())
