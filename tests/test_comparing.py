"""Runs beside each other: found, read and compared without a backend."""

import json
import math
import os
import socket
import sys

import pytest

from keras_dlparts.comparing import (
    Comparison,
    Runs,
    changed_values,
    distinct_names,
    unusual,
)
from keras_dlparts.runs import Run

CONFIG = """dlparts: 1
name: digits
model: [{use: keras.Dense, units: UNITS}, {use: keras.Dense, units: 10}]
optimizer: {use: keras.Adam, learning_rate: RATE, beta_1: 0.9}
fit: {epochs: 2}
versions: {keras: VERSION}
"""


def make(folder, units=64, rate=0.001, losses=(2.0, 1.0), state="done", version=3):
    """A run's folder, written by hand."""
    folder.mkdir(parents=True)
    config = CONFIG.replace("UNITS", str(units)).replace("RATE", str(rate))
    rows = [f"{i + 1},{loss},{loss + 1}" for i, loss in enumerate(losses)]
    status = {"state": state, "epoch": len(losses), "epochs": 2, "seconds": 75.0}
    for name, text in {
        "resolved.yaml": config.replace("VERSION", str(version)),
        "status.json": json.dumps(status),
        "history.csv": "\n".join(["epoch,loss,val_loss", *rows]) + "\n",
        "environment.json": json.dumps({"started": folder.name, "backend": "jax"}),
    }.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def three(tmp_path):
    make(tmp_path / "runs" / "a-1")
    make(tmp_path / "runs" / "a-2", rate=0.01, losses=(1.5, 0.5), version=4)
    make(tmp_path / "runs" / "a-3", units=32, losses=(), state="failed")
    return tmp_path / "runs"


def test_records(three):
    first, second, third = Runs(three).records()
    assert (first["name"], first["state"], first["monitor"]) == (
        "a-1",
        "done",
        "val_loss",
    )
    assert (second["best"], second["best_epoch"], second["seconds"]) == (1.5, 2, 75.0)
    assert math.isnan(third["best"])
    rates = [row["optimizer.learning_rate"] for row in (first, second, third)]
    assert rates == [0.001, 0.01, 0.001]
    assert "fit.epochs" not in first  # it is the same in all
    assert "versions.keras" not in first


def test_a_data_frame(three):
    frame = Runs(three).to_dataframe()
    assert list(frame["model[0].units"]) == [64, 64, 32]
    assert frame.sort_values("best").iloc[0]["name"] == "a-2"


def test_without_pandas_it_says_so(three, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install pandas.*`records\(\)`"):
        Runs(three).to_dataframe()


def test_test_metrics_are_columns(three):
    evaluation = {"test": {"metrics": {"accuracy": 0.9}, "epoch": 2}}
    (three / "a-1" / "evaluation.json").write_text(json.dumps(evaluation))
    assert [row.get("test_accuracy") for row in Runs(three).records()] == [
        0.9,
        None,
        None,
    ]


def test_trials_of_searches_are_found_and_told_apart(tmp_path):
    make(tmp_path / "one" / "trial_0")
    make(tmp_path / "two" / "trial_0", rate=0.1)
    make(tmp_path / ".hidden" / "trial_0")
    assert Runs(tmp_path).names() == ["one/trial_0", "two/trial_0"]
    assert [run.path.name for run in Runs(tmp_path / "one")] == ["trial_0"]
    assert [run.path.name for run in Runs(tmp_path / "one" / "trial_0")] == ["trial_0"]


@pytest.mark.parametrize(
    ("file", "text"),
    [("status.json", "{"), ("resolved.yaml", "{model: 3, best: 4, fit: []}")],
)
def test_a_broken_run_is_left_out_and_named(three, file, text):
    (three / "a-2" / file).write_text(text)
    runs = Runs(three)
    assert [run.path.name for run in runs] == ["a-1", "a-3"]
    (path,) = runs.broken
    assert path == three / "a-2"
    assert file in runs.broken[path]
    assert len(runs.records()) == 2


def test_a_run_without_environment_is_listed(three):
    (three / "a-2" / "environment.json").unlink()
    assert len(Runs(three)) == 3


def test_no_folder(tmp_path):
    assert Runs(tmp_path) == []
    with pytest.raises(FileNotFoundError, match="there is nothing"):
        Runs(tmp_path / "absent")


@pytest.mark.parametrize(
    ("owner", "state"),
    [
        (None, "killed"),  # a run that ends removes the file, and its state is not this
        (f"process {os.getpid()} on {socket.gethostname()} since now", "running"),
        (f"process 99999999 on {socket.gethostname()} since now", "killed"),
        ("process 99999999 on another-machine since now", "running"),
        ("", "running"),
    ],
    ids=["none", "this process", "one that is gone", "elsewhere", "empty"],
)
def test_a_run_whose_process_is_gone_was_killed(tmp_path, owner, state):
    folder = make(tmp_path / "run", state="running")
    if owner is not None:
        (folder / "run.lock").write_text(owner)
    assert Run(folder).state == state
    assert Run(folder).status["state"] == "running"


def test_changed_values():
    configs = [
        {"a": [{"u": 1}, {"u": 2}], "b": True, "l": [1, 2], "name": "x"},
        {"a": [{"u": 1}], "b": 1, "l": [1, 3], "name": "y"},
    ]
    assert changed_values(configs) == {
        "a[1].u": [2, None],
        "b": [True, 1],  # equal in Python, not in a config
        "l": [[1, 2], [1, 3]],
    }
    assert changed_values(configs[:1]) == {}


def test_unusual():
    assert unusual({}, 2) == [{}, {}]
    assert unusual({"a.rate": [1, 2, 2], "b.rate": [1, 1, 3]}, 3) == [
        {"a.rate": 1},
        {},
        {"b.rate": 3},
    ]
    assert unusual({"a.rate": [1, 2]}, 2) == [{}, {"rate": 2}]
    # SGD has no beta_1; that a value is null where it could be given counts.
    another_part = {"opt.use": ["Adam", "SGD"], "opt.beta_1": [0.9, None]}
    assert unusual(another_part, 2) == [{}, {"use": "SGD"}]
    assert unusual({"opt.clipnorm": [1.0, None]}, 2) == [{}, {"clipnorm": None}]


def test_distinct_names(tmp_path):
    runs = [Run(make(tmp_path / name)) for name in ("x/r/1", "y/r/1", "y/r/2")]
    assert distinct_names(runs) == ["x/r/1", "y/r/1", "y/r/2"]
    assert distinct_names(runs[1:]) == ["1", "2"]
    assert distinct_names([runs[0], runs[0]]) == ["1", "1"]


def test_compare(three, tmp_path):
    compared = Run(three / "a-1").compare(three / "a-2", Run(three / "a-3"))
    assert compared.changed == {
        "model[0].units": [64, 64, 32],
        "optimizer.learning_rate": [0.001, 0.01, 0.001],
    }
    assert "optimizer.learning_rate: 0.001, 0.01, 0.001" in repr(compared)
    text = compared.write(tmp_path / "new" / "page.html").read_text("utf-8")
    for wanted in (
        "<mark>0.01</mark>",
        "<mark>32</mark>",
        "val_loss by epoch, 3 curves: a-1 from 3 to 2; a-2 from 2.5 to 1.5; a-3 none",
        "What is not the same",
    ):
        assert wanted in text, wanted


def test_equal_configs_are_said_to_be(tmp_path):
    one, other = make(tmp_path / "1"), make(tmp_path / "2")
    page = Comparison([one, other]).write(tmp_path / "page.html")
    assert "The configs are the same." in page.read_text("utf-8")


def test_one_run_is_no_comparison(three):
    with pytest.raises(ValueError, match=r"two runs or more\. Received: 1\."):
        Comparison([three / "a-1"])


def test_an_evaluation_is_checked(three):
    (three / "a-1" / "evaluation.json").write_text('{"test": 3}')
    with pytest.raises(ValueError, match=r"evaluation\.json.*`metrics`"):
        _ = Run(three / "a-1").evaluation
