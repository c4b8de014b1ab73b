"""Checkpoints within an epoch: a run stopped anywhere ends as one never stopped."""

import numpy as np
import pytest
from helpers.runs import assert_same_weights, history

from keras_dlparts import NonFiniteError, backend, train
from keras_dlparts.config import load
from keras_dlparts.data import Batches
from keras_dlparts.training import nonfinite, resuming
from keras_dlparts.training.checkpoint import Checkpoints

# 270 samples to train on: nine steps an epoch, the last of them smaller.
CONFIG = {
    "data": {"use": "spirals", "samples": 300, "batch_size": 32},
    "model": [
        {"use": "Dense", "units": 8, "activation": "relu"},
        {"use": "RandomDropout", "rate": 0.5},
        {"use": "Dropout", "rate": 0.2},
        {"use": "Dense", "units": 3},
    ],
    "optimizer": {"use": "Adam", "learning_rate": 0.01},
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "callbacks": [
        {"use": "EarlyStopping", "monitor": "loss", "restore_best_weights": True},
        {"use": "ReduceLROnPlateau", "monitor": "loss", "patience": 1},
    ],
    "fit": {"epochs": 2, "checkpoint_every": 4},
}
# These look at every batch, and keep state from one to the next.
LOOKING = CONFIG | {
    "optimizer": {"use": "SGD", "learning_rate": 0.1},
    "callbacks": [
        {"use": "RelaxedSmoothnessClipping", "every": 3},
        {"use": "GradientFlow", "every": 2},
    ],
}


def assert_same(one, other):
    assert history(one) == history(other)
    for a, b in zip(one.model.weights, other.model.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert_same_weights(one, other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing disturbed."""
    return train(CONFIG, out=tmp_path_factory.mktemp("whole"))


@pytest.fixture
def stop(monkeypatch):
    """Have training stopped right after its `n`th checkpoint; None lets it be."""
    save, positions = Checkpoints.save, []

    def stop_after(n):
        left = [n]

        def saving(self, epoch, *args):
            save(self, epoch, *args)
            positions.append((epoch, args[2] if len(args) > 2 else 0))
            if left[0] is not None:
                left[0] -= 1
                if not left[0]:
                    raise KeyboardInterrupt

        monkeypatch.setattr(Checkpoints, "save", saving)
        return positions

    return stop_after


ALL = [(0, 0), (0, 4), (0, 8), (1, 0), (1, 4), (1, 8), (2, 0)]


def stopped_and_resumed(out, stop, after):
    """A run that is stopped each time so many checkpoints were written."""
    for n in after:
        positions = stop(n)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, out=out, resume=True)
    stop(None)
    return train(CONFIG, out=out, resume=True), positions


@pytest.mark.long
def test_stopped_within_epochs_it_ends_as_if_never_stopped(whole, tmp_path, stop, said):
    resumed, positions = stopped_and_resumed(tmp_path, stop, [2, 4])
    assert positions == ALL
    assert said[-2].endswith("after epoch 0 of 2, step 4 of the next")
    assert said[-1].endswith("after epoch 1 of 2, step 8 of the next")
    assert_same(whole, resumed)


@pytest.mark.study
def test_stopped_after_every_checkpoint_too(whole, tmp_path, stop):
    resumed, positions = stopped_and_resumed(tmp_path, stop, [1] * len(ALL))
    assert positions == ALL
    assert_same(whole, resumed)


@pytest.mark.long
@pytest.mark.parametrize("after", [pytest.param([1], marks=pytest.mark.study), [1, 2]])
def test_what_callbacks_do_as_training_begins_is_done_again(tmp_path, stop, after):
    # LSUV sizes the weights, SparsityTarget holds the prior of the layer off.
    sparse = {"use": "BayesianSparsityDropout", "layer": CONFIG["model"][0]}
    config = CONFIG | {
        "model": [sparse | {"strength": 9.0}, *CONFIG["model"][1:]],
        "callbacks": ["LSUV", {"use": "SparsityTarget", "weights_left": 0.5}],
        "fit": {"epochs": 4, "checkpoint_every": 4},
    }
    whole = train(config, out=tmp_path / "whole")
    for n in after:
        stop(n)
        with pytest.raises(KeyboardInterrupt):
            train(config, out=tmp_path / "stopped", resume=True)
    stop(None)
    assert_same(whole, train(config, out=tmp_path / "stopped", resume=True))


# 45 samples to train on: six steps an epoch.
DRAWN = {
    "data": {
        "use": "digits",
        "flatten": False,
        "samples": 50,
        "balanced": True,
        "batch_size": 8,
        "binarize": "anew",
        "transform": [
            {"use": "ZeroPadding2D", "padding": 1},
            {"use": "RandomCrop", "height": 8, "width": 8},
            {"use": "RandomFlip", "mode": "horizontal"},
        ],
    },
    "model": ["Flatten", {"use": "Dense", "units": 10}],
    "loss": CONFIG["loss"],
    "fit": {"epochs": 2, "checkpoint_every": 4},
}


@pytest.mark.long
@pytest.mark.parametrize("steps", [1, pytest.param("auto", marks=pytest.mark.study)])
def test_drawn_data_is_drawn_again(tmp_path, stop, steps):
    config = DRAWN | {"compile": {"steps_per_execution": steps}}
    whole = train(config, out=tmp_path / "whole")
    positions = stop(4)
    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "b")
    assert positions[-1] == (1, 4)
    stop(None)
    assert_same(whole, train(config, out=tmp_path / "b", resume=True))
    # And the resolved config, which names the layers with all their arguments.
    assert_same(whole, train(whole.path / "resolved.yaml", out=tmp_path / "c"))


@pytest.mark.slow
def test_callbacks_that_look_at_batches_go_on_too(tmp_path, stop):
    whole = train(LOOKING, out=tmp_path / "whole")
    positions = stop(5)
    with pytest.raises(KeyboardInterrupt):
        train(LOOKING, out=tmp_path / "b")
    assert positions[-1] == (1, 4)
    resumed = train(LOOKING, out=tmp_path / "b", resume=True)
    assert_same(whole, resumed)
    pages = [(run.path / "report.html").read_text() for run in (whole, resumed)]
    assert "At step 16" in pages[0]  # GradientFlow's last measurement of 18 steps
    assert "At step 16" in pages[1]


@pytest.mark.slow
def test_the_time_of_an_epoch_counts_from_its_begin(tmp_path, stop):
    stop(2)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, out=tmp_path)
    (path,) = tmp_path.glob("*/checkpoints/epoch-00000-step-*.npz")
    checkpoints = Checkpoints(path.parent)
    spent = checkpoints.newest()[0]["spent"]["seconds"]
    assert spent > 0
    stop(None)
    run = train(CONFIG, out=tmp_path, resume=True, epochs=1)
    assert run.history["seconds"][0] > spent


@pytest.mark.slow
def test_how_often_may_change_and_a_call_is_no_longer(whole, tmp_path, stop):
    """A checkpoint of 4 steps a call is gone on with by 2 a call."""
    stop(2)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, out=tmp_path / "b")
    positions = stop(None)
    positions.clear()
    sets = ["fit.checkpoint_every=3"]
    resumed = train(CONFIG, sets, out=tmp_path / "b", resume=True)
    assert len([*(tmp_path / "b").iterdir()]) == 1
    assert all(step - before <= 3 for before, step in within(positions, 4))
    for a, b in zip(whole.model.weights, resumed.model.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


def within(positions, done):
    """(step, next step) of the checkpoints, the first after `done` steps."""
    before = done
    for _, step in positions:
        yield (before, step) if step else (before, 9)
        before = step


def test_a_checkpoint_within_a_call_is_refused():
    sets = ["compile.steps_per_execution=5"]
    message = r"fit.checkpoint_every\n  no checkpoint within a call: .* 5. Received: 4"
    with pytest.raises(ValueError, match=message):
        load(CONFIG, sets)
    assert load(CONFIG, ["compile.steps_per_execution=4"])


@pytest.mark.long
def test_a_damaged_one_is_told_and_the_one_before_it_used(whole, tmp_path, stop, said):
    stop(3)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, out=tmp_path / "b")
    newest = Checkpoints(next((tmp_path / "b").iterdir()) / "checkpoints").paths()[-1]
    assert newest.stem == "epoch-00000-step-000000008"
    newest.write_bytes(newest.read_bytes()[:1000])
    stop(None)
    said.clear()
    resumed = train(CONFIG, out=tmp_path / "b", resume=True)
    assert said[0] == f"{newest} is damaged; looking for the checkpoint before it"
    assert "step 4 of the next" in said[1]
    assert_same(whole, resumed)


@pytest.mark.slow
def test_with_all_damaged_it_starts_over(tmp_path):
    whole = train(CONFIG, out=tmp_path, epochs=1)
    for path in Checkpoints(whole.path / "checkpoints").paths():
        path.write_bytes(b"")
    again = train(CONFIG, out=tmp_path, resume=True, epochs=1)
    assert again.path == whole.path
    assert history(again) == history(whole)


@pytest.mark.slow
def test_what_a_kill_left_half_written_is_removed(tmp_path):
    run = train(CONFIG, out=tmp_path, epochs=1)
    left = [run.path / ".partial-12-best.keras"]
    left.append(run.path / "checkpoints" / ".partial-12-epoch-00001.npz")
    for path in left:
        path.write_bytes(b"half")
    train(CONFIG, out=tmp_path, epochs=1, resume=True)
    assert not any(path.exists() for path in left)


@pytest.mark.slow
def test_without_determinism_it_says_what_it_cannot_promise(tmp_path, said):
    config = CONFIG | {"deterministic": False}
    train(config, out=tmp_path, epochs=1)
    said.clear()
    train(config, out=tmp_path, epochs=1, resume=True)
    assert any("may end a little apart" in line for line in said)


@pytest.mark.slow
def test_a_nan_is_explained_from_within_the_epoch(tmp_path, monkeypatch):
    """The replay begins at the checkpoint before the bad step, not at the epoch's."""
    config = CONFIG | {
        "model": [{"use": "Dense", "units": 3, "name": "only"}],
        "callbacks": [{"use": "GradientFlow", "every": 1000}],  # one step a call
        "optimizer": {
            "use": "SGD",
            "learning_rate": {
                "use": "PiecewiseConstantDecay",
                "boundaries": [5],
                "values": [0.1, 1e38],
            },
        },
    }
    restored, restore = [], nonfinite.restore

    def restoring(saved, *args):
        restored.append(saved[0]["step"])
        restore(saved, *args)

    monkeypatch.setattr(nonfinite, "restore", restoring)
    with pytest.raises(NonFiniteError, match=r"epoch 1, step [6-9]\. What first"):
        train(config, out=tmp_path)
    assert restored == [4]


def test_the_steps_that_were_done_before_cost_no_reading():
    batches = Batches(np.arange(20), batch_size=2, shuffle=True)
    batches.epoch, read = 3, []
    plain = [x.tolist() for (x,) in batches]
    samples = batches._samples
    batches._samples = lambda rows: read.append(len(rows)) or samples(rows)
    rest = resuming.Rest(batches, batches, epoch=3, first=6)
    assert [x.tolist() for (x,) in rest] == [plain[6]] * 6 + plain[6:]
    assert len(read) == 4
    rest.on_epoch_end()
    assert [len(x) for (x,) in rest] == [2] * 10  # the next epoch is whole
    assert len(read) == 14


def test_generators_come_back():
    backend.seed_globals(3)
    states = backend.generators()

    def draws():
        import random

        drawn = [random.random(), np.random.rand(), np.random.randn()]
        if backend.name() == "torch":
            import torch

            drawn.append(float(torch.rand(())))
        return drawn

    first = draws()
    assert draws() != first
    backend.set_generators(states)
    assert draws() == first
