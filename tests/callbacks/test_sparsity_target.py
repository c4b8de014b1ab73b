import warnings

import keras
import numpy as np
import pytest

from keras_dlparts.callbacks import SparsityTarget
from keras_dlparts.layers import BayesianSparsityDropout
from keras_dlparts.optimizers import Lookahead


@pytest.fixture(scope="module")
def data():
    """Targets of 2 of 12 inputs, and less of 6 others."""
    x = np.random.default_rng(0).normal(size=(256, 12)).astype("float32")
    y = x[:, :2] @ np.ones((2, 3)) + 0.2 * x[:, 2:8] @ np.ones((6, 3))
    return x, y.astype("float32")


def made(optimizer=None, frozen=()):
    keras.utils.set_random_seed(0)
    options = {"warmup": 2, "ramp": 2, "seed": 0}
    layers = [
        BayesianSparsityDropout(keras.layers.Dense(units), name=f"sparse{i}", **options)
        for i, units in enumerate((8, 3))
    ]
    model = keras.Sequential([keras.Input((12,)), *layers])
    for i in frozen:
        layers[i].trainable = False
    model.compile(optimizer or keras.optimizers.Adam(0.02), "mse")
    return model


class Left(keras.callbacks.Callback):
    """How many weights are left after each epoch."""

    def __init__(self):
        super().__init__()
        self.left = []

    def on_epoch_end(self, epoch, logs=None):
        self.left.append(sum(layer.counts()[0] for layer in self.model.layers))


@pytest.fixture(scope="module")
def trained(data):
    """A model of 120 weights that is to keep 24 after half of 12 epochs."""
    model, left = made(), Left()
    callbacks = [SparsityTarget(0.2), left]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(*data, 32, 12, shuffle=False, verbose=0, callbacks=callbacks)
    return model, left.left


@pytest.mark.long
def test_the_model_keeps_exactly_as_many_weights_as_asked_for(trained):
    model, left = trained
    # By the same factor in each of six epochs, and then no more.
    falling = [round(120 * 0.2 ** (epoch / 6)) for epoch in range(1, 7)]
    assert left == [*falling, *[24] * 6]
    # Together: neither layer has its own fifth of the weights.
    assert model.layers[0].counts()[0] != pytest.approx(0.2 * 96, abs=1)
    kernels = [
        keras.ops.convert_to_numpy(layer.posterior_kernel()) for layer in model.layers
    ]
    assert sum(map(np.count_nonzero, kernels)) == 24


@pytest.mark.long
def test_the_prior_pulls_nothing(trained):
    model, _ = trained
    for layer in model.layers:
        left = keras.ops.convert_to_numpy(layer.keep) > 0
        pulled = keras.ops.convert_to_numpy(layer.pulled)[left]
        np.testing.assert_allclose(pulled, 0, atol=1e-5)  # what rounding leaves


@pytest.mark.long
@pytest.mark.parametrize("kind", ["adam", "around adam", "sgd"])
def test_the_weights_of_the_highest_score_stay(kind, data):
    adam = keras.optimizers.Adam(0.02)
    optimizer = {
        "adam": lambda: adam,
        "around adam": lambda: keras.optimizers.LossScaleOptimizer(Lookahead(adam)),
        "sgd": lambda: keras.optimizers.SGD(0.02),
    }[kind]()
    model = made(optimizer)
    model.fit(*data, 64, 2, verbose=0)
    optimizer.build(model.trainable_variables)
    draw = np.random.default_rng(1)
    scores = []
    for layer in model.layers:
        shape = layer.keep.shape
        mean, square = draw.normal(size=shape), draw.exponential(size=shape)
        spread = draw.exponential(size=shape)
        layer.mean.assign(mean)
        layer.square.assign(spread**2 * layer.n.numpy())
        if kind == "sgd":
            variance = spread**2
            scores.append(np.abs(mean) / np.sqrt(variance + variance.mean()))
        else:
            names = [v.path for v in adam.variables]
            ours = layer.layer.kernel.path.replace("/", "_") + "_velocity"
            (at,) = [i for i, name in enumerate(names) if name.endswith(ours)]
            adam.variables[at].assign(square)
            scores.append(np.abs(mean) * square**0.25)
    target = SparsityTarget(0.25, until=1.0)
    target.set_model(model)
    target.set_params({"epochs": 1})
    target.on_train_begin()
    target.on_epoch_end(0)
    least = np.sort(np.concatenate([score.ravel() for score in scores]))[-30]
    for layer, score in zip(model.layers, scores, strict=True):
        keep = keras.ops.convert_to_numpy(layer.keep) > 0
        np.testing.assert_array_equal(keep, score >= least)


@pytest.mark.long
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_frozen_layer_keeps_its_weights_and_does_not_count(optimizer, data):
    model = made(optimizer, frozen=[0])
    model.fit(*data, 64, 4, verbose=0, callbacks=[SparsityTarget(0.5)])
    assert [layer.counts() for layer in model.layers] == [(96, 96), (12, 24)]
    model = made(optimizer, frozen=[0, 1])
    with pytest.raises(ValueError, match="layers that are trainable"):
        model.fit(*data, 64, verbose=0, callbacks=[SparsityTarget(0.5)])


@pytest.mark.long
def test_it_warns_of_a_target_that_was_not_reached(data):
    model = made()
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1)
    )
    callbacks = [SparsityTarget(0.2), stop]
    with pytest.warns(UserWarning, match=r"not 20.00%. Training ended before epoch 3"):
        model.fit(*data, 64, 6, verbose=0, callbacks=callbacks)


@pytest.mark.long
def test_saved_in_the_middle_it_goes_on_the_same(data, tmp_path):
    """What it knows is in the layers (draws are put back by hand)."""
    path = tmp_path / "model.keras"
    model = made()
    options = {"batch_size": 32, "shuffle": False, "verbose": 0}
    states = []

    class Save(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                self.model.save(path)
                generators = [one.seed_generator.state for one in self.model.layers]
                states.extend(map(keras.ops.convert_to_numpy, generators))

    callbacks = [SparsityTarget(0.2), Save()]
    whole = model.fit(*data, epochs=8, callbacks=callbacks, **options).history
    again = keras.models.load_model(path)
    for layer, state in zip(again.layers, states, strict=True):
        layer.seed_generator.state.assign(state)
    callbacks = [SparsityTarget(0.2)]
    rest = again.fit(*data, epochs=8, initial_epoch=4, callbacks=callbacks, **options)
    np.testing.assert_allclose(rest.history["loss"], whole["loss"][4:], rtol=1e-6)
    for a, b in zip(model.layers, again.layers, strict=True):
        for one, other in zip(a.weights, b.weights, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others build it")
def test_a_model_that_the_first_step_builds_is_refused(data):
    layer = BayesianSparsityDropout(keras.layers.Dense(1), name="sparse")
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"'sparse' is not; .*begin with an `Input`"):
        model.fit(*data, verbose=0, callbacks=[SparsityTarget(0.5)])


def test_a_model_without_sparse_layers_is_told(data):
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="which has none"):
        model.fit(*data, verbose=0, callbacks=[SparsityTarget(0.2)])


@pytest.mark.parametrize("arguments", [{"weights_left": 0}, {"weights_left": 1.0}])
def test_bad_fractions(arguments):
    with pytest.raises(ValueError, match="`weights_left` must be a finite number"):
        SparsityTarget(**arguments)


def test_bad_until():
    with pytest.raises(ValueError, match="`until` must be a finite number"):
        SparsityTarget(0.1, until=1.5)
