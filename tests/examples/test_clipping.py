"""The clipping study and its config."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import keras_dlparts
from keras_dlparts.optimizers import Percentile

ROOT = Path(__file__).resolve().parents[2]


def test_a_choice_of_the_config_is_what_its_name_says():
    sets = ["model.default=ResNet", "optimizer.default='Clipped#2'"]
    model = keras_dlparts.build(ROOT / "examples/clipping.yaml", sets)
    assert isinstance(model.optimizer.by, Percentile)


@pytest.mark.study
def test_the_study_runs(tmp_path):
    pytest.importorskip("matplotlib")
    path = ROOT / "examples/clipping.py"
    more = ["--epochs", "1", "--seeds", "0", "--rates", "0.1", "--out", tmp_path]
    command = [str(part) for part in (sys.executable, path, *more)]
    subprocess.run(command, check=True, timeout=900)
    result = tmp_path / "benchmarks/results/clipping_study.json"
    assert len(json.loads(result.read_text())["rows"]) == 12
    assert (tmp_path / "docs/figures/clipping.svg").stat().st_size > 1000
