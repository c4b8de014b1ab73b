"""FeatureSpaceAugmentation against its formulas."""

import json
import math
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers import FeatureSpaceAugmentation
from keras_dlparts.layers.dropout.feature_space_augmentation import moved, nearest

RANDOM = np.random.default_rng(0)


def trained(layer, *inputs):
    """The output of a training call, as numpy."""
    inputs = [np.asarray(a) for a in inputs]
    y = layer(inputs[0] if len(inputs) == 1 else inputs, training=True)
    return ops.convert_to_numpy(y)


def neighbours(c, label, memory, labels, k):
    """Indices of the k nearest rows of the memory with a label, c itself left out."""
    distances = [((c - row) ** 2).sum() for row in memory]
    order = sorted(range(len(memory)), key=distances.__getitem__)
    return [i for i in order if labels[i] == label and distances[i] > 0][:k]


def test_nearest_of_the_same_class():
    memory = RANDOM.normal(size=(30, 4)).astype("float32")
    labels = RANDOM.integers(0, 3, 30)
    labels[labels == 2] = 1
    labels[:2] = 2  # fewer than k of this class
    c = np.concatenate([memory[:3], RANDOM.normal(size=(5, 4))]).astype("float32")
    own = np.array([2, 2, 0, 1, 0, 1, 2, 7])
    found, valid = nearest(*map(ops.convert_to_tensor, (c, own, memory, labels)), 5)
    found, valid = ops.convert_to_numpy(found), ops.convert_to_numpy(valid)
    for i in range(8):
        want = neighbours(c[i], own[i], memory, labels, 5)
        assert found[i][valid[i]].tolist() == want
    assert valid.sum(axis=1).tolist() == [1, 1, 5, 5, 5, 5, 2, 0]


def test_nearest_of_contexts_that_share_a_large_value():
    """At 1000 the squares of 8 numbers are 8e6, of which float32 keeps steps of 0.5."""
    memory = 1000 + 0.1 * RANDOM.normal(size=(40, 8)).astype("float32")
    c = 1000 + 0.1 * RANDOM.normal(size=(6, 8)).astype("float32")
    c[0] = memory[7]
    labels, own = np.zeros(40, "int32"), np.zeros(6, "int32")
    found, valid = nearest(*map(ops.convert_to_tensor, (c, own, memory, labels)), 5)
    assert ops.convert_to_numpy(valid).all()
    exact = memory.astype("float64")
    for row, indices in zip(c.astype("float64"), found, strict=True):
        want = neighbours(row, 0, exact, labels, 5)
        assert ops.convert_to_numpy(indices).tolist() == want


@pytest.mark.parametrize("label", [-1, -2])
def test_a_negative_label_is_no_class(label):
    """The empty places of the memory hold -1, and zeros as contexts."""
    layer = FeatureSpaceAugmentation("interpolate", neighbours=1, memory=9)
    contexts = RANDOM.normal(size=(2, 3, 4)).astype("float32")
    for c in contexts:
        y = trained(layer, c, np.full(3, label))
        np.testing.assert_array_equal(y, c)


def test_interpolation_and_extrapolation():
    """(c_k - c_j) lambda + c_j and (c_j - c_k) lambda + c_j."""
    c, k = RANDOM.normal(size=(2, 3, 4))
    for strength, want in ((0.3, (k - c) * 0.3 + c), (-0.3, (c - k) * 0.3 + c)):
        y = moved(*map(ops.convert_to_tensor, (c, k)), strength)
        np.testing.assert_allclose(ops.convert_to_numpy(y), want, rtol=1e-6)


@pytest.mark.parametrize("mode", ["interpolate", "extrapolate"])
def test_a_sample_moves_along_the_line_to_one_of_its_neighbours(mode):
    contexts = RANDOM.normal(size=(3, 20, 5)).astype("float32")
    labels = RANDOM.integers(0, 3, (3, 20))
    layer = FeatureSpaceAugmentation(mode, 0.25, neighbours=3, memory=30, seed=1)
    np.testing.assert_array_equal(
        trained(layer, contexts[0], labels[0]), contexts[0]
    )  # nothing to go to yet
    trained(layer, contexts[1], labels[1])
    y = trained(layer, contexts[2], labels[2][:, None])
    memory = np.concatenate([contexts[1], contexts[0][:10]])
    remembered = np.concatenate([labels[1], labels[0][:10]])
    sign, ranks = {"interpolate": 1, "extrapolate": -1}[mode], []
    for c, label, new in zip(contexts[2], labels[2], y, strict=True):
        near = neighbours(c, label, memory, remembered, 3)
        wants = c + sign * 0.25 * (memory[near] - c)
        off = abs(wants - new).max(axis=1)
        assert off.min() < 1e-5
        ranks.append(off.argmin())
    assert {*ranks} == {0, 1, 2}


def test_the_deviation_is_that_of_all_contexts():
    """Batches of many sizes, a mean far from 0, a constant: as numpy's of them all."""
    x = RANDOM.normal(50, [1, 0.1, 3], (500, 3)).astype("float32")
    x[:, 1] = 0.7
    layer = FeatureSpaceAugmentation(seed=0)
    for part in np.split(x, [1, 3, 40, 41, 200]):
        trained(layer, part)
    assert float(layer.count.numpy()) == 500
    deviation = ops.convert_to_numpy(layer.deviation)
    exact = x.astype("float64")
    np.testing.assert_allclose(deviation, exact.std(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.mean.numpy(), exact.mean(axis=0), rtol=1e-5)


def test_noise_has_the_deviation_of_the_data_not_of_the_batch():
    """strength sigma_i X: of 2000 draws the deviation is within 5 / sqrt(4000)."""
    x = RANDOM.normal(0, [1, 5], (2000, 2)).astype("float32")
    layer = FeatureSpaceAugmentation(strength=0.5, seed=0)
    trained(layer, x)
    still = np.ones((2000, 2), "float32")  # a batch without any deviation
    noise = trained(layer, still) - still
    sigma = np.concatenate([x, still]).std(axis=0)
    bound = 5 / math.sqrt(4000)
    np.testing.assert_allclose(noise.std(axis=0), 0.5 * sigma, rtol=bound)
    assert (abs(noise.mean(axis=0)) < 5 * 0.5 * sigma / math.sqrt(2000)).all()


def test_inference_passes_and_learns_nothing():
    x, labels = RANDOM.normal(size=(5, 2, 3)).astype("float32"), np.zeros(5)
    for mode in ("noise", "extrapolate"):
        layer = FeatureSpaceAugmentation(mode, memory=20)
        inputs = [x, labels]
        layer(inputs)
        before = layer.get_weights()
        np.testing.assert_array_equal(ops.convert_to_numpy(layer(inputs)), x)
        np.testing.assert_array_equal(ops.convert_to_numpy(layer(x)), x)
        for old, new in zip(before, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_rate_is_the_share_that_is_augmented():
    x = RANDOM.normal(size=(2000, 3)).astype("float32")
    y = trained(FeatureSpaceAugmentation(rate=0.3, seed=0), x)
    moved = (y != x).any(axis=1)
    assert (moved == (y != x).all(axis=1)).all()
    assert abs(moved.mean() - 0.3) < 5 * math.sqrt(0.21 / 2000)


def test_a_memory_smaller_than_the_batch():
    layer = FeatureSpaceAugmentation("interpolate", neighbours=1, memory=2)
    x = np.arange(5.0)[:, None]
    trained(layer, x, np.arange(5))
    assert layer.contexts.numpy().ravel().tolist() == [0, 1]
    assert layer.labels.numpy().tolist() == [0, 1]
    trained(layer, x[3:4], np.array([3]))
    assert layer.labels.numpy().tolist() == [3, 0]


@pytest.mark.long
def test_training_an_encoder_through_it():
    """Gradients reach the encoder through c_j alone; a model without labels shares."""
    x = RANDOM.normal(size=(64, 6, 2)).astype("float32")
    y = (x.sum(axis=(1, 2)) > 0).astype("int32")
    inputs, labels = keras.Input((6, 2)), keras.Input((), dtype="int32")
    context = kl.GRU(8)(inputs)
    augment = FeatureSpaceAugmentation("extrapolate", neighbours=3, memory=64, seed=0)
    head = kl.Dense(2)
    model = keras.Model([inputs, labels], head(augment([context, labels])))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    history = model.fit([x, y], y, epochs=4, batch_size=16, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert (augment.labels.numpy() >= 0).all()
    alone = keras.Model(inputs, head(augment(context)))
    np.testing.assert_allclose(
        alone.predict(x, verbose=0), model.predict([x, 0 * y], verbose=0), rtol=1e-5
    )


REPLICAS = """
import json
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
import numpy as np
from keras_dlparts.layers import FeatureSpaceAugmentation

x = np.random.default_rng(0).normal(3, 2, (64, 4)).astype("float32")
y = np.arange(64) % 2
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    noise = FeatureSpaceAugmentation(seed=0)
    near = FeatureSpaceAugmentation("interpolate", neighbours=2, memory=8)
    inputs, labels = keras.Input((4,)), keras.Input((), dtype="int32")
    h = near([noise(inputs), labels])
    dense = keras.layers.Dense(1, activity_regularizer="l2")  # adds a loss
    model = keras.Model([inputs, labels], dense(h))
    model.compile("sgd", "mse")
model.fit([x, y], y, batch_size=16, epochs=2, verbose=0, shuffle=False)
model.save_weights("PATH")

@tf.function
def step():
    ones = tf.ones((4, 4))
    return strategy.run(lambda: noise(ones, training=True))

a, b = (v.numpy() for v in step().values)
count = float(noise.count.numpy())
print(json.dumps({
    "count": count - 8,
    "mean": noise.mean.numpy().tolist(),
    "deviation": keras.ops.convert_to_numpy(noise.deviation).tolist(),
    "same noise": bool((a == b).all()),
    "labels": near.labels.numpy().tolist(),
    "weights": model.layers[-1].get_weights()[0].ravel().tolist(),
    "replicas agree": [
        float(abs(v.values[0].numpy() - v.values[1].numpy()).max())
        for v in (w.value for w in dense.weights)
    ],
}))
"""


@pytest.mark.study
@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute")
def test_replicas_count_all_contexts_and_draw_apart(tmp_path):
    """Beside a layer that adds a loss, where all-reduced state spoils the weights."""
    script = REPLICAS.replace("PATH", str(tmp_path / "a.weights.h5"))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    x = np.random.default_rng(0).normal(3, 2, (64, 4))
    seen = np.concatenate([x, x, np.ones((8, 4))])
    assert told["count"] == 128
    assert not told["same noise"]
    np.testing.assert_allclose(told["mean"], seen.mean(axis=0), rtol=1e-4)
    # The spread between the replicas' means, about 1 / n of the variance, is left out.
    np.testing.assert_allclose(told["deviation"], seen.std(axis=0), rtol=0.05)
    assert all(label in (0, 1) for label in told["labels"])
    assert max(told["replicas agree"]) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mode": "mixup"}, ValueError, "`mode` must be one of 'noise', 'interpolate'"),
        (
            {"strength": 0},
            ValueError,
            "finite number, greater than 0. Received: strength=0",
        ),
        ({"strength": math.inf}, ValueError, "finite"),
        ({"strength": "1"}, TypeError, "`strength` must be a finite number"),
        ({"rate": 0.0}, ValueError, "0 < rate <= 1"),
        ({"rate": 1.001}, ValueError, "0 < rate <= 1"),
        ({"rate": True}, TypeError, "`rate` must be a finite number"),
        ({"neighbours": 0}, ValueError, "`neighbours` must be at least 1"),
        ({"memory": 2.0}, TypeError, "`memory` must be an integer"),
        (
            {"neighbours": 11, "memory": 10},
            ValueError,
            "neighbours=11, memory=10; raise",
        ),
    ],
)
def test_bad_arguments(arguments, error, message):
    FeatureSpaceAugmentation(neighbours=10, memory=10)
    with pytest.raises(error, match=message):
        FeatureSpaceAugmentation(**arguments)


def test_bad_inputs():
    with pytest.raises(
        ValueError, match=r"needs the labels.*layer\(\[contexts, labels"
    ):
        trained(FeatureSpaceAugmentation("interpolate"), np.ones((3, 2)))
    for shape in ((2, None, 3), (2,)):
        with pytest.raises(ValueError, match=r"vectors of a known size.*pool or"):
            FeatureSpaceAugmentation()(keras.KerasTensor(shape))
