"""DBN: machines learnt one on another, and what a config makes of that."""

import csv

import keras
import numpy as np
import pytest

from keras_dlparts import ConfigError, load_model, train
from keras_dlparts.models import DBN
from keras_dlparts.models.energy import greedy
from keras_dlparts.training import pretraining

x = np.random.default_rng(0).integers(0, 2, (60, 2, 3)).astype("float32")


@pytest.mark.long
def test_each_machine_learns_on_the_features_below_given_once(monkeypatch):
    model = DBN([5, 4, 3], input_shape=(2, 3), seed=0)
    passes, given = [], []
    through = greedy.through

    def counted(layers, rows, *args):
        passes.append(len(layers))
        return through(layers, rows, *args)

    def fit(machine, rows, epochs, batch_size, number):
        given.append(rows)
        machine.fit(rows, epochs=epochs, batch_size=batch_size, verbose=0)
        return machine.history.history

    monkeypatch.setattr(greedy, "through", counted)
    histories = model.pretrain(x, epochs=2, batch_size=20, fit=fit)
    assert [len(history["loss"]) for history in histories] == [2, 2, 2]
    assert passes == [1, 1]  # one layer each, over all rows, not one pass a batch
    h = x.reshape(60, 6)
    for rows, layer in zip(given, model.hidden, strict=True):
        np.testing.assert_allclose(rows, h, rtol=1e-5)
        W, c = layer.get_weights()
        h = 1 / (1 + np.exp(-(c + h @ W)))
    np.testing.assert_allclose(model.features(x), h, rtol=1e-5)


@pytest.mark.long
def test_the_decoder_starts_from_the_transposed_weights():
    model = DBN([5, 4], input_shape=(6,), seed=0)
    model.pretrain(x.reshape(60, 6), epochs=1)
    for layer, back in zip(model.hidden, reversed(model.decoder), strict=True):
        np.testing.assert_array_equal(layer.get_weights()[0].T, back.get_weights()[0])
    model.compile("adam", "mse")
    flat = x.reshape(60, 6)
    losses = model.fit(flat, flat, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    top = model.decoder[-1]
    assert not np.array_equal(model.hidden[0].get_weights()[0].T, top.get_weights()[0])


@pytest.mark.study
def test_deep_autoencoder_starts_better_after_pretraining():
    """Two patterns with noise: the unrolled machines reconstruct them untrained."""
    random = np.random.default_rng(0)
    rows = np.repeat([[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]], 200, axis=0)
    rows = np.where(random.random(rows.shape) < 0.05, 1 - rows, rows).astype("float32")
    errors = []
    for epochs in (0, 30):
        model = DBN([6, 3], input_shape=(8,), seed=0)
        model.pretrain(rows, epochs=epochs, batch_size=20, learning_rate=0.2)
        errors.append(np.square(model.predict(rows, verbose=0) - rows).mean())
    assert errors[1] < errors[0] / 2


@pytest.mark.long
def test_seeds_repeat_and_a_file_brings_all_back(tmp_path):
    made = []
    for _ in range(2):
        model = DBN([5], classes=2, input_shape=(2, 3), seed=3)
        model.pretrain(x, epochs=1)
        made.append(model)
    for ours, theirs in zip(made[0].weights, made[1].weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    made[0].save(tmp_path / "dbn.keras")
    loaded = load_model(tmp_path / "dbn.keras")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5
    )


@pytest.mark.parametrize("units", [[], 5, [0], [5, 1.5], "5"])
def test_bad_units(units):
    with pytest.raises(ValueError, match="`units` must be a list of integers >= 1"):
        DBN(units)


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="`classes` must be an integer >= 1"):
        DBN([3], classes=0)
    with pytest.raises(ValueError, match="`visible` must be one of"):
        DBN([3], visible="relu")


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_data_that_no_bernoulli_unit_has(value):
    rows = np.full((4, 6), value)
    with pytest.raises(ValueError, match=r"in \[0, 1\]: scale the data.*Received"):
        DBN([3], input_shape=(6,)).pretrain(rows)
    DBN([3], visible="gaussian", input_shape=(6,)).pretrain(rows * 0 - 3, epochs=0)


CONFIG = {
    "data": {"use": "digits", "batch_size": 100},
    "model": {"use": "DBN", "units": [12, 8], "classes": 10},
    "pretrain": {"epochs": 2},
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": 1},
}


@pytest.mark.study
def test_a_config_pretrains_and_resumes_with_the_layers_it_has(tmp_path, monkeypatch):
    whole = train(CONFIG, out=tmp_path / "whole")
    with (whole.path / "pretraining.csv").open() as file:
        rows = list(csv.DictReader(file))
    places = [(row["layer"], row["epoch"]) for row in rows]
    assert places == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]
    assert all(float(row["reconstruction_error"]) > 0 for row in rows)

    learn, learnt = pretraining._learn, []

    def stopped(model, batches, *args):
        learnt.append(batches.x.shape[1])
        if learnt == [64, 12]:
            raise KeyboardInterrupt
        return learn(model, batches, *args)

    monkeypatch.setattr(pretraining, "_learn", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, out=tmp_path / "cut")
    resumed = train(CONFIG, out=tmp_path / "cut", resume=True)
    assert learnt == [64, 12, 12]  # the first layer is taken up, not learnt again
    assert len([*(tmp_path / "cut").iterdir()]) == 1
    for ours, theirs in zip(resumed.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.study
def test_all_samples_pretrain_and_a_labelled_share_is_fine_tuned(tmp_path, monkeypatch):
    """1500 digits, of which 100 are taken; 10 of them validate."""
    learn, learnt = pretraining._learn, []

    def watched(model, batches, *args):
        learnt.append(batches)
        return learn(model, batches, *args)

    monkeypatch.setattr(pretraining, "_learn", watched)
    data = CONFIG["data"] | {"samples": 100, "balanced": True, "binarize": "anew"}
    some = {"epochs": 1, "data_init": True}
    run = train(CONFIG | {"data": data, "pretrain": some}, out=tmp_path)
    assert [len(batches.rows) for batches in learnt] == [90, 90]
    # The first machine sees binary values, the second probabilities.
    first, second = learnt
    (one,), (again,) = first[0], first[0]
    assert {*np.unique(one)} == {0, 1}
    np.testing.assert_array_equal(one, again)
    assert len(np.unique(second[0][0])) > 2
    learnt.clear()
    everything = {"data": data, "pretrain": some | {"samples": "all"}}
    run = train(CONFIG | everything, out=tmp_path)
    assert [len(batches.rows) for batches in learnt] == [1490, 1490]
    assert run.history["epoch"] == [1]


def test_each_machine_starts_from_the_rates_of_what_it_learns_on():
    x = np.repeat([[1.0, 0.0, 0.25]], 100, axis=0).astype("float32")
    seen = []

    def fit(model, h, epochs, batch_size, number):
        bias = model.layers[-1].visible_bias.numpy()
        seen.append((h.mean(0), 1 / (1 + np.exp(-bias))))

    DBN([4, 3], input_shape=(3,), seed=0).pretrain(x, fit=fit, data_init=True)
    np.testing.assert_allclose(seen[0][1], [0.995, 0.005, 0.25], rtol=1e-5)
    np.testing.assert_allclose(seen[1][0], seen[1][1], rtol=1e-5)


def test_pretraining_of_a_model_that_has_none(tmp_path):
    config = {**CONFIG, "model": ["Flatten", {"use": "Dense", "units": 10}]}
    with pytest.raises(ConfigError, match=r"learns nothing layer by layer; models.DBN"):
        train(config, out=tmp_path)
    with pytest.raises(ConfigError, match=r"pretrain.epochs"):
        train({**CONFIG, "pretrain": {"epochs": -1}}, out=tmp_path)
    with pytest.raises(
        ConfigError, match=r"unknown key 'epoch'.*did you mean 'epochs'"
    ):
        train({**CONFIG, "pretrain": {"epoch": 3}}, out=tmp_path)
    assert not [*tmp_path.iterdir()]


def test_dropout_is_of_fine_tuning_only():
    model = DBN([50], classes=2, dropout=0.5, input_shape=(6,), seed=0)
    rows = keras.ops.convert_to_tensor(x.reshape(60, 6))
    same = model(rows), model(rows)
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, same))
    drawn = model(rows, training=True), model(rows, training=True)
    first, second = (
        keras.ops.convert_to_numpy(keras.ops.stop_gradient(y)) for y in drawn
    )
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("classes", [None, 2])
def test_all_layers_compute_in_the_dtype_of_the_model(classes):
    model = DBN([3], classes, dropout=0.5, input_shape=(4,), dtype="mixed_bfloat16")
    ends = model.decoder if classes is None else [model.head]
    inner = [model.flatten, *model.hidden, *model.drops, *ends]
    assert {layer.compute_dtype for layer in inner} == {"bfloat16"}
