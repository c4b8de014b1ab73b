"""Run directories written by hand, whole and broken."""

import json
import math
import subprocess
import sys

import keras
import pytest

from keras_dlparts.runs import Run, higher_is_better

HISTORY = "epoch,loss,val_loss,accuracy\n0,2.0,2.5,0.1\n1,1.0,1.5,0.5\n2,0.5,,0.9\n"
STATUS = {"state": "done", "message": "", "epoch": 3, "epochs": 3, "seconds": 4.25}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "digits-20250102-030405"
    folder.mkdir()
    for name, text in {
        "resolved.yaml": (
            "name: digits\nmodel: []\noptimizer: {learning_rate: 1e-3}\n"
        ),
        "environment.json": json.dumps({"backend": "jax", "cpu_count": 2}),
        "status.json": json.dumps(STATUS),
        "history.csv": HISTORY,
        "model.json": json.dumps([{"name": "d", "class": "Dense", "parameters": 3}]),
    }.items():
        (folder / name).write_text(text)
    return folder


def test_everything_is_read(folder):
    run = Run(str(folder))
    assert run.path == folder
    assert run.config["name"] == "digits"
    assert run.config["optimizer"]["learning_rate"] == 1e-3  # not the text "1e-3"
    assert run.environment["backend"] == "jax"
    assert run.status == STATUS
    assert run.history["loss"] == [2.0, 1.0, 0.5]
    assert math.isnan(run.history["val_loss"][2])
    assert run.layers[0]["class"] == "Dense"


def test_repr_says_how_it_went(folder):
    said = repr(Run(folder))
    assert "digits-20250102-030405: done, 3 of 3 epochs" in said
    assert "best val_loss 1.5 at epoch 2, 4.2 s" in said


def test_repr_of_a_broken_run_does_not_raise(folder):
    (folder / "status.json").write_text("{")
    assert "cannot be read" in repr(Run(folder))


def test_best_follows_the_config(folder):
    with (folder / "resolved.yaml").open("a") as file:
        file.write("best: {monitor: accuracy, mode: auto}\n")
    assert Run(folder).best() == ("accuracy", 2)


def test_best_obeys_the_mode(folder):
    with (folder / "resolved.yaml").open("a") as file:
        file.write("best: {monitor: accuracy, mode: min}\n")
    assert Run(folder).best() == ("accuracy", 0)


def test_best_without_a_finite_monitor_falls_back(folder):
    (folder / "history.csv").write_text("epoch,loss,val_loss\n0,3,nan\n1,2,inf\n")
    assert Run(folder).best() == ("loss", 1)


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        *((name, True) for name in ("val_accuracy", "AUC", "auc_1", "MeanIoU")),
        *((name, True) for name in ("val_pearsonCorrelation", "top-5 Acc", "mIoU")),
        *((name, False) for name in ("val_loss", "mae", "accumulated_error")),
        *((name, False) for name in ("val_inaccuracy", "recall_loss")),
    ],
)
def test_higher_is_better(name, higher):
    assert higher_is_better(name) is higher


def test_the_names_of_keras_metrics_tell_the_direction():
    settings = {
        "FBetaScore": {"beta": 0.5},
        "IoU": {"num_classes": 2, "target_class_ids": [0]},
        "OneHotIoU": {"num_classes": 2, "target_class_ids": [0]},
        "MeanIoU": {"num_classes": 2},
        "OneHotMeanIoU": {"num_classes": 2},
        "PrecisionAtRecall": {"recall": 0.5},
        "RecallAtPrecision": {"precision": 0.5},
        "SensitivityAtSpecificity": {"specificity": 0.5},
        "SpecificityAtSensitivity": {"sensitivity": 0.5},
        "MeanMetricWrapper": {"fn": keras.losses.mean_squared_error},
    }
    found = {}
    for name, kind in vars(keras.metrics).items():
        if isinstance(kind, type) and kind is not keras.metrics.Metric:
            metric = kind(**settings.get(name, {}))
            direction = getattr(metric, "_direction", None)
            if direction is not None:
                found[metric.name] = direction == "up"
    assert len(found) > 30
    assert {name: higher_is_better(f"val_{name}") for name in found} == found


def test_before_the_first_epoch(folder):
    (folder / "history.csv").unlink()
    (folder / "model.json").unlink()
    run = Run(folder)
    assert (run.history, run.layers, run.best()) == ({}, [], None)


def test_header_only(folder):
    (folder / "history.csv").write_text("epoch,loss\n")
    assert Run(folder).history == {"epoch": [], "loss": []}


def test_a_torn_last_row_is_left_out(folder):
    (folder / "history.csv").write_text(HISTORY + "3,0.2")
    assert Run(folder).history["loss"] == [2.0, 1.0, 0.5]


def test_a_short_row_inside_is_an_error(folder):
    (folder / "history.csv").write_text("epoch,loss\n0\n1,2\n")
    with pytest.raises(ValueError, match=r"line 2 has a cell .*Received: \['0'\]"):
        _ = Run(folder).history


@pytest.mark.parametrize(
    ("file", "text", "attribute", "message"),
    [
        ("history.csv", "epoch,loss\n0,1\n1\n", "history", r"line 3 .*\['1'\]"),
        ("history.csv", "epoch,loss\n0,low\n", "history", r"'loss'.*Received: 'low'"),
        ("history.csv", "loss\n1\n", "history", "names `epoch`"),
        ("status.json", '{"state": "fine"}', "status", "`state` is .*Received: 'fine'"),
        ("status.json", "[]", "status", "holds an object. Received: 'list'"),
        ("environment.json", "{", "environment", "it is JSON"),
        ("model.json", "{}", "layers", "holds an array"),
        ("model.json", '[{"name": "d"}]', "layers", "`name` and `class`"),
        ("columns.json", '[{"name": "a"}]', "columns", "`name` and `categories`"),
        ("resolved.yaml", "a: [", "config", "resolved.yaml"),
        ("resolved.yaml", "best: 4", "config", "`best` is an object. Received: 4"),
        ("resolved.yaml", "fit: []", "config", "`fit` is an object"),
        ("environment.json", '{"versions": 3}', "environment", "`versions` is an obj"),
        ("environment.json", '{"git": {"commit": 5}}', "environment", "`commit` is te"),
        ("environment.json", '{"git": 3}', "environment", "`git` is an object"),
        ("resolved.yaml", "seed: 1\nname: a", "config", r"has `model`. .*'seed', 'na"),
        ("model.json", '[{"name": 3, "class": "D"}]', "layers", "`name` is text"),
        (
            "status.json",
            '{"state": "done", "seconds": "4"}',
            "status",
            "`seconds` is a number. Received: '4'",
        ),
        (
            "evaluation.json",
            '{"test": {"metrics": {"self": "low"}}}',
            "evaluation",
            "`self` is a number. Received: 'low'",
        ),
    ],
)
def test_a_broken_file(folder, file, text, attribute, message):
    (folder / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        getattr(Run(folder), attribute)


@pytest.mark.parametrize(
    ("file", "attribute"),
    [
        ("status.json", "status"),
        ("resolved.yaml", "config"),
        ("environment.json", "environment"),
    ],
)
def test_a_missing_file(folder, file, attribute):
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no {file}"):
        getattr(Run(folder), attribute)


def test_a_run_that_failed_before_it_began(folder):
    (folder / "resolved.yaml").unlink()
    status = {"state": "failed", "message": "`units` must be a positive integer"}
    (folder / "status.json").write_text(json.dumps(status))
    with pytest.raises(FileNotFoundError, match="failed before it began: `units` must"):
        _ = Run(folder).config


def test_no_model_yet(folder):
    with pytest.raises(FileNotFoundError, match=r"best.keras and no last.keras"):
        _ = Run(folder).model


def test_not_a_run(folder):
    with pytest.raises(FileNotFoundError, match="there is nothing"):
        Run(folder / "absent")
    with pytest.raises(FileNotFoundError, match="there is a file"):
        Run(folder / "status.json")
    with pytest.raises(FileNotFoundError, match=r"did you mean .*digits-2025"):
        Run(folder.parent)


def test_the_best_model_is_loaded_once(folder):
    import keras

    def model(bias):
        layer = keras.layers.Dense(
            1, bias_initializer=keras.initializers.Constant(bias)
        )
        return keras.Sequential([keras.Input((2,)), layer])

    model(1.0).save(folder / "last.keras")
    assert Run(folder).model.weights[1].numpy()[0] == 1.0
    model(2.0).save(folder / "best.keras")
    run = Run(folder)
    assert run.model.weights[1].numpy()[0] == 2.0
    assert run.model is run.model


@pytest.mark.slow
def test_reading_imports_no_backend(folder):
    code = (
        "import sys; from keras_dlparts.runs import Run; "
        f"r = Run({str(folder)!r}); r.config, r.history, r.layers, repr(r); "
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
