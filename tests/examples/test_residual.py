"""The studies of residual nets run, and their configs are good."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import keras_dlparts
from keras_dlparts.config.experiment import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "name",
    ["examples/degradation.yaml", "examples/shortcuts.yaml", "tuning/residual.yaml"],
)
def test_the_configs_are_good(name):
    assert load(ROOT / name).model


def test_a_row_of_the_shortcut_study_is_what_its_name_says():
    sets = ["model.default='ResNet#5'", "data.batch_size=8"]
    model = keras_dlparts.build(ROOT / "examples/shortcuts.yaml", sets)
    block = model.get_layer("stage1_block1")
    assert block.shortcut == "gate"
    assert block.residual == {"gate_bias": -6.0}


@pytest.mark.study
@pytest.mark.parametrize(
    ("script", "more"),
    [("degradation", ["--depths", "2"]), ("shortcuts", ["--seeds", "0"])],
)
def test_the_studies_run(script, more, tmp_path):
    if script == "degradation":
        pytest.importorskip("matplotlib")
    path = ROOT / "examples" / f"{script}.py"
    command = [sys.executable, path, "--epochs", "1", "--out", tmp_path, *more]
    subprocess.run([str(part) for part in command], check=True, timeout=900)
    result = tmp_path / f"benchmarks/results/{script}.json"
    assert json.loads(result.read_text())["rows"]
