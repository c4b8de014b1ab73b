"""Training from a config on two devices of one machine: as on one, or told why not."""

import json
import os

import keras
import numpy as np
import pytest
import yaml
from helpers.runs import weights

from keras_dlparts import ConfigError, NonFiniteError, backend, distribute, train
from keras_dlparts.training import folder as run_folder

NAME = {"tensorflow": "mirrored", "jax": "jax_data_parallel"}.get(backend.name())
TWO = {"use": NAME, "devices": 2}
pytestmark = pytest.mark.skipif(NAME is None, reason="PyTorch has no strategy")
mirrored = pytest.mark.skipif(NAME != "mirrored", reason="of tf.distribute")

CONFIG = {
    "name": "shared",
    # 45 to validate: their only batch is odd. 255 to train: the last batch has 27.
    "data": {
        "use": "spirals",
        "samples": 300,
        "batch_size": 76,
        "validation_split": 0.15,
    },
    "model": [
        {"use": "Dense", "units": 16, "activation": "relu"},
        {"use": "Dense", "units": 3},
    ],
    "optimizer": {
        "use": "Clipped",
        "optimizer": {"use": "Adam", "learning_rate": 0.01},
        "by": {"use": "FixedNorm", "threshold": 0.5},
    },
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "fit": {"epochs": 2},
}
DROPS = [
    CONFIG["model"][0],
    {"use": "RandomDropout", "rate": 0.5},
    {"use": "Dropout", "rate": 0.2},
    CONFIG["model"][1],
]


def changed(**sections):
    return {**CONFIG, "distribute": TWO, **sections}


def losses(run, column="loss"):
    return run.history[column]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.mark.long
def test_two_devices_train_as_one(out):
    """But for the sample that the last batch has too many: so that one is cut off."""
    data = {**CONFIG["data"], "batch_size": 60, "validation_split": 0.2}
    one = train({**CONFIG, "data": data}, out=out)
    two = train(changed(data=data), out=out)
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    for column in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(losses(one, column), losses(two, column), rtol=1e-5)


@pytest.mark.study
def test_drawn_data_is_that_of_one_device(out):
    """Each batch is changed as a whole, and then shared."""
    sections = {
        "data": {
            "use": "digits",
            "flatten": False,
            "samples": 80,
            "batch_size": 20,
            "validation_split": 0.25,
            "transform": [{"use": "RandomFlip"}],
            "binarize": "anew",
        },
        "model": ["Flatten", {"use": "Dense", "units": 10}],
        "optimizer": {
            "use": "SGD",
            "learning_rate": {
                "use": "CosineDecay",
                "initial_learning_rate": 0.5,
                "decay_steps": "run",
            },
        },
    }
    one = train({**CONFIG, **sections}, out=out)
    two = train(changed(**sections), out=out)
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert not np.isclose(*losses(one))  # it learns


@pytest.mark.long
def test_what_is_left_out_is_said_and_a_run_can_be_resumed(out, said):
    """Of 255 samples in batches of 76 the last has 27; 45 validate in one odd batch."""
    said.clear()
    config = changed(model=DROPS, distribute={**TWO, "scale_learning_rate": True})
    whole = train(config, out=out / "whole")
    assert any("last batch of 27 samples; each epoch leaves out 1" in s for s in said)
    assert f"distribute: {NAME}, 2 replicas" in said
    train(config, out=out / "parts", epochs=1)
    resumed = train(config, out=out / "parts", resume=True)
    for a, b in zip(weights(whole), weights(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    assert losses(whole) == losses(resumed)
    assert whole.history["learning_rate"] == pytest.approx([0.02, 0.02])


@pytest.mark.study
def test_a_run_that_lost_its_devices_goes_on_with_one(out, said):
    """From within an epoch, to the weights that two devices would have had."""
    data = {**CONFIG["data"], "batch_size": 60, "validation_split": 0.2}
    config = changed(data=data, fit={"epochs": 2, "checkpoint_every": 2})
    alone = config | {"distribute": "none"}
    whole = train(config, out=out / "undisturbed")
    said.clear()
    began = train(config, out=out / "lost", epochs=1)
    (began.path / "checkpoints" / "epoch-00001.npz").unlink()
    status = json.loads((began.path / "status.json").read_text())
    (began.path / "status.json").write_text(json.dumps(status | {"state": "running"}))
    resumed = train(alone, out=out / "lost", resume=True)
    assert resumed.path == began.path
    assert f"distribute.use was {NAME}, and is none now" in said
    assert any("after epoch 0 of 2, step 2 of the next" in line for line in said)
    for a, b in zip(weights(whole), weights(resumed), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for column in ("loss", "accuracy", "val_loss", "val_accuracy"):
        ours, theirs = losses(resumed, column), losses(whole, column)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_which_run_is_gone_on_with(tmp_path):
    """The newest on these devices, else the newest on others that did not end."""

    def made(name, devices, state, age, **more):
        path = tmp_path / name
        path.mkdir()
        resolved = {"distribute": {"use": devices}, "fit": {"epochs": 3}, **more}
        (path / "resolved.yaml").write_text(yaml.safe_dump(resolved))
        (path / "status.json").write_text(json.dumps({"state": state}))
        os.utime(path / "resolved.yaml", (1000 - age, 1000 - age))

    def found(devices):
        wanted = {"distribute": {"use": devices}, "fit": {"epochs": 5}}
        path = run_folder.latest(tmp_path, wanted)
        return path and path.name

    made("done", "two", "done", age=1)
    made("another", "two", "failed", age=1, seed=5)
    assert found("none") is None
    made("old", "two", "failed", age=3)
    made("new", "four", "running", age=2)
    assert found("none") == "new"
    made("own", "none", "done", age=9)
    assert found("none") == "own"
    assert found("two") == "done"
    made("killed", "none", "running", age=0)  # before it wrote its first line
    (tmp_path / "killed" / "status.json").unlink()
    assert found("three") == "killed"


@pytest.mark.skipif(NAME == "mirrored", reason="it is refused")
def test_steps_an_execution_change_nothing(out):
    one, again = (
        train(changed(compile={"steps_per_execution": steps}), out=out)
        for steps in (3, 1)
    )
    for a, b in zip(weights(one), weights(again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.study
def test_a_callback_that_measures_sees_two_devices_as_one(out):
    config = {
        "optimizer": {
            "use": "Clipped",
            "optimizer": {"use": "SGD", "learning_rate": 0.1},
            "by": {"use": "RelaxedSmoothness", "L0": 1.0, "L1": 2.0},
        },
        "callbacks": [{"use": "RelaxedSmoothnessClipping", "every": 1}, "GradientFlow"],
        "data": {**CONFIG["data"], "batch_size": 60, "validation_split": 0.2},
    }
    one, two = train({**CONFIG, **config}, out=out), train(changed(**config), out=out)
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.long
def test_a_nan_is_found_in_its_layer(out):
    model = [
        {"use": "Dense", "units": 8, "name": "first", "activation": "exponential"},
        {"use": "Dense", "units": 3},
    ]
    with pytest.raises(NonFiniteError, match="layer 'first'"):
        train(
            changed(model=model, optimizer={"use": "SGD", "learning_rate": 1e6}),
            out=out,
        )


@pytest.mark.study
def test_layers_are_pretrained_on_two_devices(out):
    config = changed(
        data={"use": "digits", "batch_size": 400, "validation_split": 0.1},
        model={"use": "DBN", "units": [6, 5], "classes": 10},
        pretrain={"epochs": 1},
        fit={"epochs": 1},
    )
    run = train(config, out=out)
    assert np.isfinite(losses(run)).all()
    assert (run.path / "pretraining.csv").read_text().count("\n") == 3


@pytest.mark.long
def test_adapting_layers_learn_from_all_samples(out):
    model = [{"use": "MinMaxNormalization"}, "Normalization", *CONFIG["model"]]
    one = train({**CONFIG, "model": model, "fit": {"epochs": 1}}, out=out)
    two = train(changed(model=model, fit={"epochs": 1}), out=out)
    states = [
        [w for layer in saved.layers[1:3] for w in layer.get_weights()]
        for saved in (
            keras.saving.load_model(run.path / "last.keras") for run in (one, two)
        )
    ]
    assert len(states[0]) > 3
    for a, b in zip(*states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


REFUSED = {
    "data": (
        {"data": {**CONFIG["data"], "batch_size": 33}},
        r"data\n.*`batch_size` must divide evenly among the replicas. "
        r"Received: batch_size=33 and 2 replicas. Use 32",
    ),
    "distribute.remainder": (
        {"distribute": {**TWO, "remainder": "error"}},
        "2 replicas cannot share an epoch's last batch of 27 samples. Received: .*"
        "leaves 1 out of each epoch",
    ),
    "distribute.devices": ({"distribute": {**TWO, "devices": 99}}, "fewer devices"),
    "scale_learning_rate": (
        {
            "distribute": {**TWO, "scale_learning_rate": True},
            "optimizer": {
                "use": "SGD",
                "learning_rate": {
                    "use": "ExponentialDecay",
                    "initial_learning_rate": 0.1,
                    "decay_steps": 9,
                    "decay_rate": 0.5,
                },
            },
        },
        "a schedule cannot be scaled",
    ),
}
REFUSED_BY_MIRRORS = {
    "compile.steps_per_execution": (
        {"compile": {"steps_per_execution": 3}},
        "take one step a call, since Keras fails at several. Received: 3",
    ),
    "compile.jit_compile": (
        {"compile": {"jit_compile": True}},
        "cannot share a step that XLA compiles whole. Received: true",
    ),
    "gradient_accumulation_steps": (
        {"optimizer": {"use": "SGD", "gradient_accumulation_steps": 2}},
        "Received: gradient_accumulation_steps=2. Raise data.batch_size",
    ),
    "ema_overwrite_frequency": (
        {"optimizer": {"use": "SGD", "use_ema": True, "ema_overwrite_frequency": 5}},
        "Received: ema_overwrite_frequency=5. Use the callback SwapEMAWeights",
    ),
    "synchronized": (
        {
            "model": [
                {"use": "Dense", "units": 4, "activity_regularizer": "l2"},
                {"use": "BatchNormalization", "synchronized": True},
                {"use": "Dense", "units": 3},
            ]
        },
        "synchronized=True together with one that adds a loss. Received: ",
    ),
}


def assert_refused(sections, message, out):
    with pytest.raises(ConfigError, match=message):
        train(changed(**sections), out=out)
    assert not out.exists()


@pytest.mark.long
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shared_is_refused(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path / "none")


@mirrored
@pytest.mark.parametrize("name", REFUSED_BY_MIRRORS)
def test_what_replicas_cannot_train_is_refused(name, tmp_path):
    assert_refused(*REFUSED_BY_MIRRORS[name], tmp_path / "none")


@mirrored
def test_keras_layers_draw_their_own_numbers_once_told():
    import tensorflow as tf

    strategy = distribute.strategy("mirrored", devices=2)
    with strategy.scope():
        cell = keras.layers.LSTM(3, dropout=0.5, seed=2)
        drop = keras.layers.Dropout(0.5, seed=1)
        model = keras.Sequential([keras.Input((30, 4)), drop, cell])

    def masks(layer, x):
        return [y.numpy() for y in strategy.run(lambda: layer(x, training=True)).values]

    wide, steps = tf.ones((4, 30, 4)), tf.ones((2, 3, 4))
    for layer, x in ((drop, wide), (cell, steps)):
        np.testing.assert_array_equal(*masks(layer, x))  # else there is no use in it
    assert distribute.own_draws(model) is model
    for layer, x in ((drop, wide), (cell, steps)):
        assert not np.array_equal(*masks(layer, x))
