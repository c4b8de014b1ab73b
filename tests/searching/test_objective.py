"""What the oracle is told of the objective, and what is said where it is absent."""

from types import SimpleNamespace

import pytest

from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.searching.objective import NoObjective, Watcher, blamed

NAN = float("nan")


class Oracle:
    """Notes what it is told, and finds a trial hopeless after so many epochs."""

    def __init__(self, patience=99):
        self.told, self.patience = [], patience

    def update_trial(self, trial_id, metrics, step):
        self.told.append((trial_id, step, metrics))
        enough = len(self.told) >= self.patience
        return SimpleNamespace(status="STOPPED" if enough else "RUNNING")


def watcher(oracle, objective="val_loss"):
    trial = SimpleNamespace(trial_id="7")
    made = Watcher(oracle, trial, objective, on_epoch=lambda *_: None)
    made.set_params({"epochs": 9})
    made.set_model(SimpleNamespace(stop_training=False))
    return made


def test_epochs_without_validation_are_passed_over():
    oracle = Oracle(patience=2)
    watching = watcher(oracle)
    for epoch in range(5):
        logs = {"loss": 1.0, "seconds": 3.0}
        logs |= {"val_loss": 2.0 - epoch} if epoch % 2 else {}
        watching.on_epoch_end(epoch, logs)
        assert watching.hopeless == watching.model.stop_training == (epoch > 2)
    assert oracle.told == [
        ("7", 1, {"loss": 1.0, "val_loss": 1.0}),
        ("7", 3, {"loss": 1.0, "val_loss": -1.0}),
    ]


def test_what_an_earlier_process_trained_is_told_once():
    oracle = Oracle()
    watching = watcher(oracle)
    watching.on_epoch_end(2, {"val_loss": 0.5})
    watching.tell_missing({"epoch": [1, 2, 3], "val_loss": [NAN, 0.75, 0.5]})
    assert [(step, m) for _, step, m in oracle.told] == [
        (2, {"val_loss": 0.5}),
        (1, {"val_loss": 0.75}),
    ]


def test_an_objective_that_is_no_column_is_a_mistake_in_the_config():
    with pytest.raises(NoObjective) as caught:
        watcher(Oracle(), "val_acc").tell_missing({"epoch": [1], "val_accuracy": [1.0]})
    (problem,) = caught.value.problems
    assert problem.path == "search.objective"
    assert problem.message == (
        "no column of the history. Received: 'val_acc'; accepted: val_accuracy"
    )


def test_an_objective_that_was_never_finite_fails_its_trial_only():
    with pytest.raises(
        ValueError, match="'f1' was a finite number in no epoch"
    ) as told:
        watcher(Oracle(), "f1").tell_missing({"epoch": [1, 2], "f1": [NAN, NAN]})
    assert not isinstance(told.value, ConfigError)


def test_what_is_wrong_with_best_monitor_is_blamed_on_the_objective():
    error = ConfigError([Problem("a.yaml", (), "best.monitor", "no column")])
    (problem,) = blamed(error).problems
    assert (problem.path, problem.message) == ("search.objective", "no column")
    other = ConfigError([Problem("a.yaml", (), "fit.epochs", "too few")])
    assert blamed(other) is other
    assert blamed(error_of_no_config := RuntimeError()) is error_of_no_config
