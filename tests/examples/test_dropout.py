"""The examples and studies of the dropout family run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import keras_dlparts
from keras_dlparts.data import Digits

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = (
    "dropout",
    "feature_space",
    "maxout",
    "weight_normalization",
)


@pytest.mark.study
@pytest.mark.parametrize("name", CONFIGS)
def test_the_configs_learn_the_digits(name, tmp_path):
    path = ROOT / f"examples/{name}.yaml"
    run = keras_dlparts.train(path, out=tmp_path, epochs=3)
    losses = run.history["loss"]
    assert losses[-1] < losses[0] < 3


@pytest.mark.slow
def test_data_init_makes_the_first_outputs_standard(tmp_path):
    """What `dlparts train` does with `adapt`, layer after layer."""
    path = ROOT / "examples/weight_normalization.yaml"
    sets = ["optimizer.use=SGD", "optimizer.learning_rate=1e-9"]
    run = keras_dlparts.train(path, sets, out=tmp_path, epochs=1)
    model = keras_dlparts.load_model(run.path / "last.keras")
    source = Digits(flatten=False)
    y = model.predict(source.train.arrays()[0], verbose=0)
    assert abs(y.mean(axis=0)).max() < 1e-2
    assert abs(y.std(axis=0) - 1).max() < 1e-2


@pytest.mark.study
def test_the_benchmark_of_passes_runs(tmp_path):
    script = ROOT / "benchmarks/dropout.py"
    command = [sys.executable, script, "--pairs", "2", "--out", tmp_path]
    subprocess.run([str(part) for part in command], check=True, timeout=900)
    (found,) = tmp_path.glob("dropout_cost_*.json")
    assert json.loads(found.read_text())["rows"][0]["ratio"]["median"] > 0
