"""`check` refuses the callbacks, and the best epoch, that `train` would refuse."""

import keras
import pytest

import keras_dlparts
from keras_dlparts.config.branches import check_config
from keras_dlparts.config.errors import ConfigError

CONFIG = {
    "data": {"use": "spirals", "samples": 40},
    "model": [{"use": "Dense", "units": 2}],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "fit": {"epochs": 2},
}
NO_VALIDATION = {"data": {"use": "spirals", "samples": 40, "validation_split": 0}}
SELDOM = {"fit": {"epochs": 2, "validation_freq": 3}}


def stopping(monitor, **more):
    return {"use": "EarlyStopping", "monitor": monitor, **more}


def watching(*callbacks, **more):
    return CONFIG | {"callbacks": [*callbacks]} | more


OVERLAP = {
    "use": "MeanIoU",
    "num_classes": 2,
    "sparse_y_pred": False,
    "name": "overlap",
}
GOOD = {
    "the loss and the metrics": watching(
        stopping("loss"), stopping("val_loss"), stopping("val_accuracy")
    ),
    "what a callback before it adds": watching(
        "SmoothnessTrace", stopping("smoothness", mode="min")
    ),
    "the learning rate, of a callback before it": watching(
        "ReduceLROnPlateau", stopping("learning_rate", mode="min")
    ),
    "a callback without a monitor": watching("TerminateOnNaN"),
    "averages, of steps that are known in training": watching(
        {"use": "WeightAverage", "kind": "swa"},
        stopping("average_val_loss", mode="min"),
    ),
    "every epoch is kept, whatever the monitor": watching(
        {"use": "ModelCheckpoint", "filepath": "a.keras", "monitor": "no"}
    ),
    "a model without data": {
        "model": [{"use": "Input", "shape": [2]}, {"use": "Dense", "units": 2}],
        "callbacks": ["SmoothnessTrace", stopping("anything")],
    },
    "best: a metric": CONFIG | {"best": {"monitor": "val_accuracy"}},
    "best: a metric of another name, with its mode": CONFIG
    | {"metrics": [OVERLAP], "best": {"monitor": "val_overlap", "mode": "max"}},
    "best: a column that no metric is": CONFIG | {"best": {"monitor": "seconds"}},
    "best: what a clipping optimizer logs": CONFIG
    | {
        "optimizer": {"use": "Clipped", "optimizer": "SGD", "by": "Percentile"},
        "best": {"monitor": "gradient_norm"},
    },
}


@pytest.mark.parametrize("case", GOOD)
def test_a_column_is_accepted(case):
    check_config(GOOD[case])


COLUMNS = "accuracy, loss, val_accuracy, val_loss"
BAD = {
    "a typo": (
        watching(stopping("val_acuracy")),
        "callbacks[0].monitor",
        f"no column of the history. Received: 'val_acuracy'; accepted: {COLUMNS}",
    ),
    "its default, without validation": (
        watching("TerminateOnNaN", "ReduceLROnPlateau", **NO_VALIDATION),
        "callbacks[1].monitor",
        "no column of the history: the data has no validation split. Received: 'val_lo",
    ),
    "validation that never runs": (
        watching(stopping("val_loss"), **SELDOM),
        "callbacks[0].monitor",
        "no column of the history: validation never runs in 2 epochs. Received: 'val",
    ),
    "a checkpoint": (
        watching(
            {
                "use": "ModelCheckpoint",
                "filepath": "a.keras",
                "monitor": "acc",
                "save_best_only": True,
            }
        ),
        "callbacks[0].monitor",
        "Received: 'acc'; accepted: accuracy, loss",
    ),
    "what only a later callback adds": (
        watching(stopping("smoothness", mode="min"), "SmoothnessTrace"),
        "callbacks[0].monitor",
        f"accepted: {COLUMNS}",
    ),
    "Keras cannot tell which way is better": (
        watching("SmoothnessTrace", stopping("smoothness")),
        "callbacks[1].monitor",
        "better low or high. Received: 'smoothness'; say `mode: min` or `mode: max`",
    ),
    "nor of averages": (
        watching(
            "WeightAverage",
            {"use": "ReduceLROnPlateau", "monitor": "average_val_loss"},
        ),
        "callbacks[1].monitor",
        "Received: 'average_val_loss'; say `mode: min` or `mode: max`",
    ),
    "best": (
        CONFIG | {"best": {"monitor": "val_acc"}},
        "best.monitor",
        "no column of the history. Received: 'val_acc'; accepted: epoch, accuracy, ",
    ),
    "best, whose name tells another direction than its metric": (
        CONFIG | {"metrics": [OVERLAP], "best": {"monitor": "val_overlap"}},
        "best.mode",
        "'val_overlap' is better high, which its name does not tell. Received: auto; "
        "say `max`",
    ),
    "best, with an optimizer that logs": (
        CONFIG
        | {
            "optimizer": {"use": "Clipped", "optimizer": "SGD", "by": "Percentile"},
            "best": {"monitor": "val_acc"},
        },
        "best.monitor",
        "no column of the history",
    ),
    "two clipping rules": (
        watching(
            "RelaxedSmoothnessClipping",
            optimizer={"use": "Clipped", "optimizer": "SGD", "by": "Percentile"},
        ),
        "callbacks[0]",
        "RelaxedSmoothnessClipping brings its own clipping rule. Received an optimizer",
    ),
}


def problem(call, config, **options):
    with pytest.raises(ConfigError) as error:
        call(config, **options)
    (found,) = error.value.problems
    return found


@pytest.mark.parametrize("case", BAD)
def test_is_refused(case):
    config, path, words = BAD[case]
    found = problem(check_config, config)
    assert found.path == path
    assert words in found.message


@pytest.mark.parametrize("case", ["a typo", "two clipping rules"])
def test_training_refuses_it_too_and_writes_nothing(tmp_path, case):
    config, path, words = BAD[case]
    found = problem(keras_dlparts.train, config, out=tmp_path / "runs", verbose=0)
    assert (found.path, words in found.message) == (path, True)
    assert not (tmp_path / "runs").exists()


def test_several_at_once():
    config = watching(stopping("a"), stopping("b"), best={"monitor": "c"})
    with pytest.raises(ConfigError) as error:
        check_config(config)
    paths = [found.path for found in error.value.problems]
    assert paths == ["best.monitor", "callbacks[0].monitor", "callbacks[1].monitor"]


class Other(keras.callbacks.Callback):
    """Somebody else's: it may add any column, unless it says which."""

    __module__ = "somebody.parts"

    def __init__(self, fails=""):
        super().__init__()
        self.fails = fails

    def on_train_begin(self, logs=None):
        if self.fails:
            raise RuntimeError(self.fails)


@pytest.fixture
def somebodys(monkeypatch):
    """`Other` in place of TerminateOnNaN; its arguments become Other's."""
    monkeypatch.setattr(keras.callbacks, "TerminateOnNaN", Other)


def test_a_callback_of_somebody_else_may_add_any_column(somebodys, monkeypatch):
    config = watching("TerminateOnNaN", stopping("val_auc", mode="max"))
    check_config(config)
    check_config(CONFIG | {"callbacks": ["TerminateOnNaN"], "best": {"monitor": "a"}})
    monkeypatch.setattr(Other, "columns", ("auc",), raising=False)
    found = problem(check_config, config)
    assert found.message.endswith(f"accepted: {COLUMNS}, auc")


def test_an_error_when_training_begins_has_its_place(somebodys, tmp_path):
    callback = {"use": "TerminateOnNaN", "fails": "no such server"}
    config = watching("SmoothnessTrace", callback)
    check_config(config)  # it may open a connection there, so a check does not call it
    found = problem(keras_dlparts.train, config, out=tmp_path, verbose=0)
    assert (found.path, found.message) == ("callbacks[1]", "Other: no such server")
    (run,) = tmp_path.iterdir()
    assert keras_dlparts.Run(run).status["state"] == "failed"
