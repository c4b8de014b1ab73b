"""With JAX or PyTorch alone everything loads, trains and measures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_dlparts import registry

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TRAIN = """
import json, sys
import keras_dlparts
from keras_dlparts import registry
loaded = [part.load() for part in registry.parts()]
config = {
    "data": {"use": "spirals", "samples": 60},
    "model": [{"use": "Dense", "units": 4}, {"use": "Dense", "units": 2}],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": 1},
}
run = keras_dlparts.train(config, out=sys.argv[2])
run.model
found = keras_dlparts.plan(config)["parameters"]
imported = "tensorflow" in sys.modules
print(json.dumps([run.status["state"], len(loaded), found, imported]))
"""


def call(backend, *command):
    done = subprocess.run(
        [sys.executable, HERE / "without_tensorflow.py", *map(str, command)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_part_loads_and_a_config_trains(tmp_path, backend):
    said = call(backend, "-c", TRAIN, tmp_path)
    state, parts, parameters, imported = json.loads(said.splitlines()[-1])
    assert (state, parameters, imported) == ("done", 2 * 4 + 4 + 4 * 2 + 2, False)
    assert parts == len(registry.parts()) > 40


@pytest.mark.study
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_device_is_measured(tmp_path, backend):
    out = tmp_path / "out.json"
    asked = ["--families", "clipping", "--steps", "2", "--out", out]
    said = call(backend, ROOT / "benchmarks/device.py", "--backends", backend, *asked)
    assert "GFLOP/s" in said
    (result,) = json.loads(out.read_text())["backends"]
    assert result["backend"] == backend
    (model,) = result["models"]
    assert model["agrees"]
    assert 0 < model["product_share"] < 1
    assert model["copy_share"] > 0
