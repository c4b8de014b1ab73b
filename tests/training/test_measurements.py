"""Callbacks' measurements are files of the run, whole after each epoch."""

import csv

import pytest

from keras_dlparts import train
from keras_dlparts.training.measurements import write_measurements


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_a_run_has_what_its_callbacks_measured(tmp_path):
    config = {
        "data": {"use": "spirals", "samples": 40, "batch_size": 18},
        "model": [{"use": "Dense", "units": 2, "name": "last"}],
        "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
        "callbacks": [
            {"use": "RelaxedSmoothnessClipping", "every": 2},
            {"use": "GradientFlow", "every": 3},
        ],
        "fit": {"epochs": 2},
    }
    run = train(config, out=tmp_path)
    found = rows(run.path / "smoothness.csv")
    # Before the first step there is a measurement more, of the clipping.
    assert [int(row["step"]) for row in found] == [0, 0, 1, 2]
    assert all(float(row["smoothness"]) > 0 for row in found)
    assert all(float(row["L0"]) >= 0 and float(row["L1"]) >= 0 for row in found)
    found = rows(run.path / "gradient_flow.csv")
    assert [*found[0]] == ["step", "gradient:last", "activation:last"]
    assert [int(row["step"]) for row in found] == [0, 3]


class Table:
    def __init__(self, *values):
        self.values = values

    def measurements(self):
        return {"a": {"x": self.values}}


def test_names_do_not_collide_and_nothing_measured_is_no_file(tmp_path):
    write_measurements(tmp_path, [Table(1, 2), object(), Table(3), Table()])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a_2.csv"]
    assert (tmp_path / "a.csv").read_text() == "x\n1\n2\n"
    assert (tmp_path / "a_2.csv").read_text() == "x\n3\n"
