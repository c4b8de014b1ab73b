"""The seam to the backends."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers import RandomDropout


def test_name_is_the_backend_that_runs():
    assert backend.name() == os.environ.get("KERAS_BACKEND", backend.name())
    assert backend.name() in sys.modules


def test_seeds_are_those_of_keras_on_one_device():
    ours, theirs = backend.SeedGenerator(7), keras.random.SeedGenerator(7)
    for _ in range(3):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(ours.next()), ops.convert_to_numpy(theirs.next())
        )


def test_seeds_without_a_seed_follow_the_global_one():
    def draw():
        keras.utils.set_random_seed(5)
        return ops.convert_to_numpy(backend.SeedGenerator().next()).tolist()

    assert draw() == draw()


def dense_model(weights):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.set_weights(weights)
    model.compile(optimizer="sgd", loss="mse")
    return model


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_that_of_the_formula(weighted):
    """L = 1 / (n m) sum_i w_i |x_i K + b - y_i|^2, so with e = w (x K + b - y):

    dL/dK = 2 / (n m) x' e    and    dL/db = 2 / (n m) 1' e
    """
    random = np.random.default_rng(0)
    x, y = random.normal(size=(5, 3)), random.normal(size=(5, 2))
    kernel, bias = random.normal(size=(3, 2)), random.normal(size=2)
    w = random.uniform(size=5) if weighted else None
    error = x @ kernel + bias - y
    e = error if w is None else w[:, None] * error
    model = dense_model([kernel, bias])
    if weighted:
        w = w.astype("float32")
    loss, (d_kernel, d_bias) = backend.gradient(
        model, x.astype("float32"), y.astype("float32"), w
    )
    tolerance = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss), (e * error).mean(), **tolerance
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(d_kernel), 2 / y.size * x.T @ e, **tolerance
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(d_bias), 2 / y.size * e.sum(axis=0), **tolerance
    )


def test_gradient_function_is_the_gradient_and_is_traced_once():
    traces = []

    class Counted(keras.layers.Dense):
        def call(self, inputs):
            traces.append(1)
            return super().call(inputs)

    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.BatchNormalization(),
            RandomDropout(0.5, seed=1),
            Counted(2),
        ]
    )
    model.compile(optimizer="sgd", loss="mse")
    random = np.random.default_rng(0)
    measure = backend.gradient_function(model)
    traces.clear()
    for step in range(3):  # masks and moving averages step on in both alike
        model.set_weights([w + 0.1 * step for w in model.get_weights()])
        x, y = random.normal(size=(2, 4, 3)).astype("float32")
        seen = len(traces)
        kept = [v.numpy() for v in model.non_trainable_variables]
        loss, gradients = measure(x, y[:, :2])
        assert len(traces) - seen <= (step == 0 or backend.name() == "torch")
        moved = [v.numpy() for v in model.non_trainable_variables]
        for variable, value in zip(model.non_trainable_variables, kept, strict=True):
            variable.assign(value)
        wanted_loss, wanted = backend.gradient(model, x, y[:, :2])
        for ours, theirs in zip(
            [loss, *gradients, *moved],
            [wanted_loss, *wanted, *model.non_trainable_variables],
            strict=True,
        ):
            np.testing.assert_allclose(
                ops.convert_to_numpy(ours),
                ops.convert_to_numpy(theirs),
                rtol=1e-5,
                atol=1e-6,
            )


def test_gradient_leaves_the_weights():
    model = dense_model([np.ones((3, 2)), np.ones(2)])
    backend.gradient(model, np.ones((4, 3), "float32"), np.ones((4, 2), "float32"))
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, np.ones_like(weight))


def test_gradient_is_of_a_training_pass_and_steps_its_state_on():
    """Drops draw anew, and what the layers add to the loss counts."""
    model = keras.Sequential(
        [
            keras.Input((50,)),
            RandomDropout(0.9, seed=0),
            keras.layers.Dense(
                1,
                use_bias=False,
                kernel_initializer="ones",
                kernel_regularizer=keras.regularizers.L2(1.0),
            ),
        ]
    )
    model.compile(optimizer="sgd", loss="mse")
    x, y = np.ones((4, 50), "float32"), np.zeros((4, 1), "float32")
    first, second = (backend.gradient(model, x, y) for _ in range(2))
    assert float(ops.convert_to_numpy(first[0])) > 50  # the regulariser's part
    kernel, again = (
        ops.convert_to_numpy(gradient) for _, (gradient,) in (first, second)
    )
    assert not np.array_equal(kernel, again)


TWO_REPLICAS = """
import json
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
import numpy as np
from keras_dlparts.layers import RandomDropout

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layers = RandomDropout(0.9, seed=3), keras.layers.Dropout(0.5, seed=3)

@tf.function
def step(layer):
    return strategy.run(lambda: layer(tf.ones((4, 50)), training=True))

same = []
for layer in layers:
    masks = [[y.numpy() != 0 for y in step(layer).values] for _ in range(2)]
    (a, b), (c, d) = masks
    same.append([bool((m == n).all()) for m, n in ((a, b), (a, c), (b, d), (b, c))])
print(json.dumps(same))
"""


@pytest.mark.slow
@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute")
def test_replicas_draw_different_masks():
    """Where Keras' own Dropout draws the same: else our generator has no use.

    A new process, for logical devices are made before TensorFlow starts.
    """
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    ours, keras_own = json.loads(done.stdout.splitlines()[-1])
    assert ours == [False, False, False, False]
    assert keras_own[0]
