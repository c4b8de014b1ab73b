"""Many steps a call end where one step a call does, and say so to the callbacks."""

import json

import keras
import numpy as np
import pytest

from keras_dlparts import NonFiniteError, backend, many_steps, train
from keras_dlparts.backend import feeding
from keras_dlparts.callbacks import GradientFlow
from keras_dlparts.data import Digits
from keras_dlparts.data.batches import Batches, JoinedBatches
from keras_dlparts.training import chunks

x = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
y = (x[:, :1] > 0).astype("float32")
loops = pytest.mark.skipif(
    backend.name() == "torch", reason="PyTorch runs each step from Python"
)


def net(units=4, **options):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(units, "tanh"), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], **options)
    return model


class Steps(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(batch)


def fitted(steps, targets=y, **options):
    model, seen = net(), Steps()
    batches = Batches(x, targets, batch_size=7, shuffle=True)
    data = chunks.prepared(model, batches, steps)
    history = model.fit(
        data, epochs=3, shuffle=False, verbose=0, callbacks=[seen], **options
    ).history
    return model, history, seen.seen


@loops
@pytest.mark.parametrize(
    "steps", [3, *(pytest.param(n, marks=pytest.mark.long) for n in (7, 8))]
)
@pytest.mark.long
def test_the_weights_and_the_logs_are_those_of_single_steps(steps):
    """50 rows are seven batches of 7 and a last one of 1, left over or alone."""
    options = {"class_weight": {0: 1.0, 1: 3.0}}
    model, history, seen = fitted(1, **options)
    assert seen == [*range(8)] * 3
    many, many_history, seen = fitted(steps, **options)
    assert seen == [*range(0, 8, steps)] * 3
    assert many.steps_per_execution == steps
    for ours, theirs in zip(many.weights, model.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)
    for name, values in history.items():
        assert many_history[name] == pytest.approx(values, rel=1e-4)


@pytest.mark.long
@loops
def test_plain_fit_makes_many_steps_a_call():
    """With sample weights, in the seed's order; the weights of single steps."""
    weights = np.arange(50, dtype="float32")
    found = []
    for many in (False, True):
        model, steps = net(), Steps()
        if many:
            data = many_steps(model, x, y, 7, sample_weight=weights, seed=3)
        else:
            data = Batches(x, y, 7, shuffle=True, seed=3, sample_weight=weights)
        model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[steps])
        found.append(model.get_weights())
        assert len(steps.seen) == (3 if many else 24)
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_where_a_callback_looks_at_each_batch_it_is_one_step_a_call():
    model = net()
    data = many_steps(model, x, y, 7, callbacks=[Steps()])
    assert type(data) is Batches
    assert len(data) == 8
    assert model.steps_per_execution == 1


def test_a_model_must_be_ready_for_many_steps():
    model = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="give it an `Input`"):
        many_steps(model, x, y)
    model.build((None, 3))
    with pytest.raises(ValueError, match="call `compile` before"):
        many_steps(model, x, y)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="`batch_size` must be"):
        many_steps(model, x, y, 0)


@loops
def test_random_parts_draw_as_in_single_steps():
    """Seeds step on within the loop: the masks are those of single steps."""
    found = []
    for steps in (1, 8):
        keras.utils.set_random_seed(0)
        drop = keras.layers.Dropout(0.5, seed=1)
        model = keras.Sequential([keras.Input((3,)), drop, keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        data = chunks.prepared(model, Batches(x, y, batch_size=7), steps)
        model.fit(data, epochs=2, shuffle=False, verbose=0)
        found.append(model.get_weights()[0])
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_other_data_and_single_steps_are_left_as_they_are():
    model, batches = net(), Batches(x, y)
    assert chunks.prepared(model, batches, 1) is batches
    arrays = [(x, y)]
    assert chunks.prepared(model, arrays, 1) is arrays


def test_joined_batches_have_every_sample_once_in_the_epochs_order():
    batches = Batches(x, y, batch_size=7, shuffle=True)
    joined = JoinedBatches(batches, 3)
    assert len(joined) == len(batches) == 8
    for epoch in range(2):
        assert batches.epoch == epoch
        whole = np.concatenate([joined[i][0] for i in range(8)])
        np.testing.assert_array_equal(whole, np.concatenate([b[0] for b in batches]))
        joined.on_epoch_end()


def test_how_many_steps_a_call():
    batches = Batches(x, y, batch_size=7)
    most = 1 if backend.name() == "torch" else 8
    assert chunks.steps_a_call(net(), batches) == most
    # 5e9 / (6 * 7 * 5e7 weights) = 2.4
    large = net(10_000_000)
    assert chunks.steps_a_call(large, batches) == (1 if most == 1 else 2)
    assert chunks.steps_a_call(net(), batches, [Steps()]) == 1
    per_epoch = keras.callbacks.EarlyStopping("loss")
    assert chunks.steps_a_call(net(), batches, [per_epoch]) == most
    assert chunks.steps_a_call(net(run_eagerly=True), batches) == 1
    assert chunks.steps_a_call(net(), [(x, y)]) == 1
    # 50 rows of 2 MiB, 7 a batch: 2 batches are 28 of 32 MiB
    wide = Batches(np.broadcast_to(np.float32(0), (50, 2**19)), batch_size=7)
    assert chunks.steps_a_call(net(), wide) == min(most, 2)


class Opened(np.ndarray):
    """What is read as it is wanted, as `np.memmap` is."""


@pytest.mark.skipif(backend.name() != "jax", reason="only JAX' data are held")
def test_an_accelerator_holds_data_that_take_an_eighth_of_its_memory(monkeypatch):
    """The same batches and weights; here the processor plays the accelerator."""
    weights = np.arange(50, dtype="float32")
    given = {"batch_size": 7, "shuffle": True, "seed": 2, "sample_weight": weights}
    found, seen = [], []
    for memory in (0, 8 * (x.nbytes + y.nbytes + weights.nbytes)):
        monkeypatch.setattr(feeding, "memory_of_accelerator", lambda m=memory: m)
        model = net()
        data = chunks.prepared(model, Batches(x, y, **given), 3)
        seen.append([[np.asarray(part) for part in data[i]] for i in range(3)])
        assert (data.held is None) == (memory == 0)
        model.fit(data, epochs=2, shuffle=False, verbose=0)
        found.append(model.get_weights())
    assert keras.ops.is_tensor(data[0][0])
    for pair in (seen, found):
        for ours, theirs in zip(*map(keras.tree.flatten, pair), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.skipif(backend.name() != "jax", reason="only JAX' data are held")
def test_what_an_accelerator_does_not_hold(monkeypatch):
    wide = np.zeros((50, 2**19), "float32")  # a batch of 7 is 14 of 32 MiB
    memory = 8 * wide.nbytes
    for held, batches in (
        (True, Batches(wide, batch_size=7)),
        (True, Batches(wide[:, :5], wide[:, 5:9], batch_size=7)),
        (False, Batches(wide, y, batch_size=7)),  # more than an eighth
        (False, Batches(wide.view(Opened), batch_size=7)),
        (False, Batches(np.array([["a"]] * 50), batch_size=7)),
        (False, Batches(x, y, 7, change=lambda x, y, epoch, index: (x, y))),
    ):
        monkeypatch.setattr(feeding, "memory_of_accelerator", lambda: memory)
        data = chunks.prepared(net(), batches, 2)
        assert (data.held is not None) == held
    assert chunks.steps_a_call(net(), Batches(wide, batch_size=7)) == 8
    monkeypatch.setattr(feeding, "memory_of_accelerator", lambda: memory - 1)
    assert chunks.steps_a_call(net(), Batches(wide, batch_size=7)) == 2


def test_an_accelerator_takes_longer_calls(monkeypatch):
    batches, large = Batches(x, y, batch_size=7), net(10_000_000)
    monkeypatch.setattr(backend, "accelerators", lambda: ["one"])
    # 5e11 / (6 * 7 * 5e7 weights) = 238, of which an epoch has 8
    most = 1 if backend.name() == "torch" else 8
    assert chunks.steps_a_call(large, batches) == most
    # 5e11 / (6 * 7 * 2e9 weights) = 5.95
    monkeypatch.setattr(chunks, "_flops", lambda model, batch: 6 * batch * 2e9)
    assert chunks.steps_a_call(net(), batches) == min(most, 5)


@pytest.mark.long
def test_what_measures_between_calls_leaves_them_as_long_as_it_can():
    batches = Batches(x, y, batch_size=7)
    most = 1 if backend.name() == "torch" else 4
    flow = GradientFlow(every=12, data=(x, y))
    # 8 steps are possible, and 12 are two calls of 6.
    assert chunks.steps_a_call(net(), batches, [flow]) == (1 if most == 1 else 6)
    also = GradientFlow(every=4, data=(x, y))
    assert chunks.steps_a_call(net(), batches, [flow, also]) == min(most, 4)
    assert chunks.steps_a_call(net(), batches, [flow, Steps()]) == 1
    model = net()
    data = chunks.prepared(model, batches, chunks.steps_a_call(model, batches, [also]))
    model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[also])
    # An epoch has 8 steps, and its last call takes as many as are left.
    assert also.history["step"] == [0, 4, 8, 12]


def test_convolutions_count_at_each_place():
    shape = 28, 28, 1
    conv = keras.layers.Conv2D(32, 3, padding="same")
    model = keras.Sequential([keras.Input(shape), conv])
    model.compile("sgd", "mse")
    batches = Batches(np.zeros((4000, *shape), "float32"), batch_size=40)
    expected = int(5e9 / (6 * 40 * 28 * 28 * (9 * 32 + 32)))  # 83
    found = chunks.steps_a_call(model, batches)
    assert found == (1 if backend.name() == "torch" else expected)
    unknown = keras.Sequential([keras.Input((None, None, 1)), conv.__class__(2, 3)])
    unknown.compile("sgd", "mse")
    assert chunks.steps_a_call(unknown, batches) == 1


CONFIG = {
    "data": {"use": "digits", "batch_size": 64},
    "model": [{"use": "Dense", "units": 10}],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": 2},
}


@pytest.mark.long
@loops
def test_a_config_trains_an_epoch_a_call_and_resumes(tmp_path):
    whole = train(CONFIG, out=tmp_path / "a")
    train(CONFIG, out=tmp_path / "b", epochs=1)
    resumed = train(CONFIG, out=tmp_path / "b", resume=True)
    assert resumed.history["loss"] == whole.history["loss"]
    for ours, theirs in zip(
        resumed.model.get_weights(), whole.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    steps = len(Digits(batch_size=64).train)
    seconds = np.array(whole.history["seconds"]) * 1000
    assert (np.array(whole.history["ms_per_step"]) * steps < seconds + 1).all()


@loops
def test_the_step_of_a_nan_is_found_within_a_call(tmp_path):
    config = {**CONFIG, "optimizer": {"use": "SGD", "learning_rate": 1e38}}
    with pytest.raises(NonFiniteError, match=r"epoch 1, step [2-4]\. What first"):
        train(config, out=tmp_path)


@pytest.mark.long
def test_data_that_a_layer_refuses_is_told_by_the_layer(tmp_path):
    """The last row is out of range: found in the compiled step, and so late."""
    values = np.zeros((40, 4), "float32")
    values[-1] = 7
    np.savez(tmp_path / "a.npz", x=values)
    data = {"use": "npz", "path": str(tmp_path / "a.npz"), "y": None, "shuffle": False}
    config = {
        "data": {**data, "validation_split": 0.0, "batch_size": 8},
        "model": [{"use": "RBM", "units": 2}],
        "fit": {"epochs": 1},
    }
    with pytest.raises(Exception, match=r"in \[0, 1\]: scale the data"):
        train(config, out=tmp_path / "runs")
    (run,) = (tmp_path / "runs").iterdir()
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "failed"
    assert "in [0, 1]" in status["message"]
