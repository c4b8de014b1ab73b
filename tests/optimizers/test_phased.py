"""Phased: the group whose turn it is steps, and all else stays bit by bit."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_dlparts import backend
from keras_dlparts.optimizers import Clipped, FixedNorm, Phased

STEPS = {"kernel": 2, "bias": 1}
X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True) ** 2
ONE = {"batch_size": 4, "shuffle": False, "verbose": 0}


def made(steps=STEPS, **groups):
    optimizers = {
        "kernel": keras.optimizers.Adam(0.01),
        "bias": keras.optimizers.SGD(0.1, 0.9),
    }
    return Phased(optimizers | groups, steps)


def regression(optimizer):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(optimizer, "mse")
    return model


def state(model):
    """{group: all that its optimizer has, its weights among them}."""
    optimizer = model.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    optimizer.build(model.trainable_variables)
    backend.up_to_date(model)
    found = {
        group: [*each.variables, *(v for v in model.weights if v.name == group)]
        for group, each in optimizer.groups.items()
    }
    return {group: [v.numpy().copy() for v in found[group]] for group in found}


def same(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def step(model, number):
    rows = slice(4 * number, 4 * number + 4)
    model.fit(X[rows], Y[rows], **ONE)


def test_only_the_group_whose_turn_it_is_moves():
    model = regression(made())
    for number, group in enumerate(["kernel", "kernel", "bias", "kernel"]):
        before = state(model)
        step(model, number)
        after = state(model)
        assert {g for g in after if not same(before[g], after[g])} == {group}
    assert [int(each.iterations) for each in model.optimizer.optimizers] == [3, 1]
    assert int(model.optimizer.iterations) == 4


def test_it_steps_as_the_optimizers_by_themselves():
    """The same gradients through the plain optimizers, each on its turns only."""
    ours, theirs = regression(made()), regression("sgd")
    kernel, bias = made().optimizers
    for number, optimizer in enumerate([kernel, kernel, bias, kernel, kernel, bias]):
        step(ours, number)
        rows = slice(4 * number, 4 * number + 4)
        _, gradients = backend.gradient(theirs, X[rows], Y[rows])
        pairs = [
            (g, v)
            for g, v in zip(gradients, theirs.trainable_variables, strict=True)
            if v.name == ("bias" if optimizer is bias else "kernel")
        ]
        optimizer.apply(*map(list, zip(*pairs, strict=True)))
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_without_steps_all_move_at_once():
    model = regression(made(None))
    step(model, 0)
    assert [int(each.iterations) for each in model.optimizer.optimizers] == [1, 1]


def test_saved_in_mid_phase_it_goes_on_bit_by_bit(tmp_path):
    model = regression(made())
    model.fit(X[:16], Y[:16], **ONE)  # four steps: one into the second round
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, again):
        each.fit(X, Y, **ONE)
    ours, theirs = state(model), state(again)
    assert all(same(ours[group], theirs[group]) for group in ours)
    assert int(again.optimizer.iterations) == 10


@pytest.mark.long
def test_a_step_that_overflows_is_nobody_s_turn():
    model = regression(keras.optimizers.LossScaleOptimizer(made(), initial_scale=4.0))
    step(model, 0)
    plain = regression(made())
    step(plain, 0)
    ours, theirs = state(model), state(plain)
    for group, values in ours.items():
        for a, b in zip(values, theirs[group], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    model.fit(np.full((4, 3), np.inf, "float32"), Y[:4], **ONE)
    after = state(model)
    assert all(same(ours[group], after[group]) for group in ours)
    assert int(model.optimizer.inner_optimizer.iterations) == 1


@pytest.mark.long
def test_each_group_has_its_own_learning_rate():
    optimizer = made()
    model = regression(optimizer)
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    model.fit(X, Y, callbacks=[halve], **ONE)
    logs = optimizer.logs()
    assert logs["learning_rate_kernel"] == pytest.approx(0.005)
    assert logs["learning_rate_bias"] == pytest.approx(0.05)
    assert logs["gradient_norm_kernel"] > 0
    optimizer.learning_rate = 0.01
    assert optimizer.logs()["learning_rate_bias"] == pytest.approx(0.1)
    wrapped = regression(keras.optimizers.LossScaleOptimizer(made()))
    wrapped.fit(X, Y, callbacks=[halve], **ONE)
    rates = wrapped.optimizer.inner_optimizer.logs()
    assert rates["learning_rate_bias"] == pytest.approx(0.05)


@pytest.mark.long
def test_a_schedule_goes_by_the_group_s_own_steps():
    schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
    optimizer = made(bias=keras.optimizers.SGD(schedule))
    regression(optimizer).fit(X, Y, **ONE)  # six steps, of which two are its turn
    assert optimizer.logs()["learning_rate_bias"] == pytest.approx(0.25)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1e9)
    optimizer = made(bias=keras.optimizers.SGD(schedule))
    with pytest.raises(TypeError, match="not settable"):
        regression(optimizer).fit(X, Y, callbacks=[plateau], epochs=2, **ONE)


def test_a_group_may_be_clipped():
    clipped = Clipped(keras.optimizers.SGD(1.0), by=FixedNorm(1e-3))
    model = regression(made(bias=clipped))
    before = model.get_weights()
    model.fit(X, Y, **ONE)
    moved = [a - b for a, b in zip(model.get_weights(), before, strict=True)]
    biases = np.concatenate([m for m in moved if m.ndim == 1])
    assert 0 < np.linalg.norm(biases) <= 2.1e-3
    assert model.optimizer.logs()["clip_threshold_bias"] == pytest.approx(1e-3)


BAD = [
    (lambda: Phased({}), TypeError, "`groups` must be a dict"),
    (lambda: Phased("adam"), TypeError, "`groups` must be a dict"),
    (lambda: made({"kernels": 1}), ValueError, "must name groups: 'kernel', 'bias'"),
    (lambda: made({"kernel": -1}), ValueError, r"`steps\['kernel'\]` must be at least"),
    (lambda: made({"kernel": 0}), ValueError, "let one group step at least"),
    (lambda: made([2, 1]), TypeError, "`steps` must be a dict"),
    (lambda: Phased({"a": (o := keras.optimizers.SGD()), "b": o}), ValueError, "own"),
    (
        lambda: made(bias=keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())),
        ValueError,
        r"LossScaleOptimizer\(Phased",
    ),
    (lambda: made(bias=made()), ValueError, "not one of several"),
    (
        lambda: made(bias=keras.optimizers.SGD(loss_scale_factor=2.0)),
        ValueError,
        "scales no loss",
    ),
    (lambda: made().apply([Y]), ValueError, "not built"),
    (
        lambda: regression(Phased({"kernel": "sgd"})).fit(X, Y, **ONE),
        ValueError,
        "belongs to none of the groups 'kernel'",
    ),
    (
        lambda: regression(made(gamma="sgd")).fit(X, Y, **ONE),
        ValueError,
        "none that belongs to 'gamma'",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


REPLICAS = """
import json
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
import numpy as np
from test_phased import X, Y, ONE, made, regression, state

def trained(strategy, scaled):
    with strategy.scope():
        optimizer = made()
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, 4.0)
        model = regression(optimizer)
    model.fit(X, Y, **ONE)
    return np.concatenate([np.ravel(v) for g in state(model).values() for v in g])

found = {}
for scaled in (False, True):
    one = trained(tf.distribute.get_strategy(), scaled)
    two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), scaled)
    found[str(scaled)] = float(np.abs(one - two).max())
print(json.dumps(found))
"""


@pytest.mark.study  # the contract has a shorter one of each part
@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute")
def test_two_replicas_equal_one_device():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=__file__.rpartition("/")[0],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert max(found.values()) < 1e-6, found
