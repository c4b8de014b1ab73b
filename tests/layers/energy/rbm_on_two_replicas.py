"""Run in a process of its own: two logical devices are made before any other use."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dlparts.layers import RBM
from keras_dlparts.models import DBM


def fitted(strategy, x, chains):
    with strategy.scope():
        layer = RBM(5, seed=1, persistent=True, chains=chains)
        model = keras.Sequential([keras.Input((6,)), layer])
        model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(x, batch_size=10, epochs=3, shuffle=False, verbose=0).history
    return model, layer, history


def the_validation_counts_all_rows(model, layer, x):
    """Each replica looks at other units: of equal rows the first and a middle one."""
    logs = model.evaluate(x, batch_size=10, verbose=0, return_dict=True)
    free = layer.free_energy(x).numpy().mean()
    assert abs(logs["free_energy"] - free) < 1e-4
    assert abs(logs["loss"] + logs["pseudo_likelihood"]) < 1e-4
    two = np.repeat(x[:1], 2, axis=0)
    logs = model.evaluate(two, batch_size=2, verbose=0, return_dict=True)
    flipped = two.copy()
    flipped[[0, 1], [0, 3]] = 1 - two[0, [0, 3]]
    change = (layer.free_energy(flipped) - layer.free_energy(two)).numpy()
    expected = -6 * np.logaddexp(0, -change).mean()
    assert abs(logs["pseudo_likelihood"] - expected) < 1e-4


def deep_machines_share_their_chains(strategy, x):
    with strategy.scope():
        model = DBM([5, 4], chains=8, centering=True, input_shape=(6,), seed=1)
        model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(x, batch_size=10, epochs=3, shuffle=False, verbose=0).history
    machine = model.machine
    even = machine.particles.numpy()
    assert set(np.unique(even)) == {0, 1}, even
    assert (machine.share.numpy() == 1).all()
    assert (even.sum(1) > 0).all(), "some rows were never stepped"
    assert not np.array_equal(even[:4], even[4:]), "the replicas draw the same"
    for kernel in machine.kernels:
        np.testing.assert_array_equal(*[v.numpy() for v in kernel.value.values])
    assert abs(history["free_energy"][-1] - machine.free_energy(x).mean()) < 0.5


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    x = np.random.default_rng(0).integers(0, 2, (40, 6)).astype("float32")
    model, layer, history = fitted(strategy, x, chains=8)
    h = layer.particles.numpy()
    assert set(np.unique(h)) == {0, 1}, h
    assert (layer.share.numpy() == 1).all()
    assert (h.sum(1) > 0).all(), "some rows were never stepped"
    assert not np.array_equal(h[:4], h[4:]), "the replicas draw the same"
    copies = [v.numpy() for v in layer.kernel.value.values]
    np.testing.assert_array_equal(*copies)
    assert np.isfinite(history["loss"]).all()
    assert -6 < history["pseudo_likelihood"][-1] < -2
    free = layer.free_energy(x).numpy().mean()
    assert abs(history["free_energy"][-1] - free) < 0.5

    # Read back, on one device or on two, the particles are the same and go on.
    model.save(sys.argv[1])
    loaded = keras.saving.load_model(sys.argv[1])
    np.testing.assert_array_equal(loaded.layers[-1].particles.numpy(), h)
    loaded.fit(x, batch_size=10, verbose=0)
    assert set(np.unique(loaded.layers[-1].particles.numpy())) == {0, 1}
    layer.set_weights(layer.get_weights())
    with strategy.scope():
        model.compile(keras.optimizers.SGD(0.0))
    model.fit(x, batch_size=10, epochs=1, verbose=0)
    assert set(np.unique(layer.particles.numpy())) == {0, 1}
    assert (layer.share.numpy() == 1).all()

    for chains in (1, 3):
        message = f"2 replicas, which share the chains. Received: chains={chains}"
        with pytest.raises(ValueError, match=message):
            fitted(strategy, x, chains)
    deep_machines_share_their_chains(strategy, x)
    the_validation_counts_all_rows(model, layer, x)
    print("fine")


if __name__ == "__main__":
    main()
