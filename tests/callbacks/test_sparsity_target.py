import warnings

import keras
import numpy as np
import pytest

from keras_dlparts import backend
from keras_dlparts.callbacks import SparsityTarget
from keras_dlparts.callbacks.sparsity_target import next_force
from keras_dlparts.layers import BayesianSparsityDropout


@pytest.fixture(scope="module")
def data():
    """Targets of 2 of 12 inputs, and less of 6 others."""
    x = np.random.default_rng(0).normal(size=(256, 12)).astype("float32")
    y = x[:, :2] @ np.ones((2, 3)) + 0.2 * x[:, 2:8] @ np.ones((6, 3))
    return x, y.astype("float32")


def made(strength=2.0):
    keras.utils.set_random_seed(0)
    options = {"warmup": 2, "ramp": 2, "strength": strength, "seed": 0}
    layers = [
        BayesianSparsityDropout(keras.layers.Dense(units), name=f"sparse{i}", **options)
        for i, units in enumerate((8, 3))
    ]
    model = keras.Sequential([keras.Input((12,)), *layers])
    model.compile(keras.optimizers.Adam(0.02), "mse")
    return model


class Forces(keras.callbacks.Callback):
    """What the pull of the first layer is after each epoch, and the weights left."""

    def __init__(self):
        super().__init__()
        self.forces, self.left = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.forces.append(backend.number(self.model.layers[0].force))
        self.left.append(sum(layer.counts()[0] for layer in self.model.layers))


@pytest.fixture(scope="module")
def trained(data):
    """A model of 120 weights that is to keep 24 after half of 40 epochs."""
    model, forces = made(), Forces()
    callbacks = [SparsityTarget(0.2), forces]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(*data, 32, 40, shuffle=False, verbose=0, callbacks=callbacks)
    return model, forces


def test_the_model_keeps_exactly_as_many_weights_as_asked_for(trained):
    model, _ = trained
    assert sum(layer.counts()[0] for layer in model.layers) == 24
    # Together: neither layer has its own fifth of the weights.
    assert model.layers[0].counts()[0] != pytest.approx(0.2 * 96, abs=1)
    kernels = [
        keras.ops.convert_to_numpy(layer.posterior_kernel()) for layer in model.layers
    ]
    assert sum(map(np.count_nonzero, kernels)) == 24


def test_the_pull_ends_with_the_target_and_the_weights_settle(trained):
    model, forces = trained
    end = forces.forces.index(0.0)
    assert 4 <= end <= 25  # after warm-up and ramp; asked for by 20
    assert set(forces.forces[end:]) == {0.0}
    assert set(forces.left[end:]) == {24}
    assert min(forces.left[:end]) > 24
    # Without pull the optimizer's weight moves on and what the prior took stays.
    layer = model.layers[0]
    left = keras.ops.convert_to_numpy(layer.keep) > 0
    pulled = keras.ops.convert_to_numpy(layer.pulled)
    x = np.ones((8, 12), "float32")
    model.train_on_batch(x, np.ones((8, 3), "float32"))
    now = keras.ops.convert_to_numpy(layer.pulled)
    np.testing.assert_allclose(now[left], pulled[left], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("before", "now", "factor"),
    [
        # 3 log(200 / 100) / 10 epochs is needed: .208, the pace is log(before / now).
        (246, 200, 3 * np.log(2) / 10 / np.log(246 / 200)),
        (202, 200, 1.5),  # too slow by far
        (200, 200, 1.5),  # nothing moves
        (800, 200, 2 / 3),  # too fast by far
    ],
)
def test_the_pull_follows_the_pace(before, now, factor):
    assert next_force(2.0, before, now, 100, 10) == pytest.approx(2.0 * factor)


def test_late_there_is_one_epoch_to_go():
    needed = 3 * np.log(101 / 100)
    found = next_force(1.0, 105, 101, 100, -3)
    assert found == pytest.approx(needed / np.log(105 / 101))


def test_it_warns_of_a_target_that_was_not_reached(data):
    model = made(strength=0.0)
    with pytest.warns(UserWarning, match=r"are left, not 20.00%"):
        model.fit(*data, 64, 6, verbose=0, callbacks=[SparsityTarget(0.2)])


def test_saved_in_the_middle_it_goes_on_the_same(data, tmp_path):
    """What it knows is in the layers (draws are put back by hand)."""
    path = tmp_path / "model.keras"
    model = made()
    options = {"batch_size": 32, "shuffle": False, "verbose": 0}
    states = []

    class Save(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 9:
                self.model.save(path)
                generators = [one.seed_generator.state for one in self.model.layers]
                states.extend(map(keras.ops.convert_to_numpy, generators))

    callbacks = [SparsityTarget(0.2), Save()]
    whole = model.fit(*data, epochs=14, callbacks=callbacks, **options).history
    again = keras.models.load_model(path)
    for layer, state in zip(again.layers, states, strict=True):
        layer.seed_generator.state.assign(state)
    callbacks = [SparsityTarget(0.2)]
    rest = again.fit(*data, epochs=14, initial_epoch=10, callbacks=callbacks, **options)
    np.testing.assert_allclose(rest.history["loss"], whole["loss"][10:], rtol=1e-6)
    for a, b in zip(model.layers, again.layers, strict=True):
        assert backend.number(a.force) == pytest.approx(backend.number(b.force))
        assert a.counts() == b.counts()


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
