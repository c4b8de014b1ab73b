"""What a training does not import besides Keras: it starts no slower than it must."""

import json
import os
import subprocess
import sys

import pytest

TRAIN = """
import importlib.metadata, json, sys
import keras
before = {*sys.modules}
from keras_dlparts import train

def slow():
    raise AssertionError("every installed distribution was read")

importlib.metadata.packages_distributions = slow
config = {
    "data": {"use": "spirals", "samples": 64},
    "model": [{"use": "Dense", "units": 3}],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": 1},
}
train(config, out=sys.argv[1], verbose=0)
print(json.dumps([*{*sys.modules} - before]))
"""
NEEDLESS = (
    "grpc._channel",
    "keras_dlparts.analysis",
    "keras_dlparts.searching",
    "keras_dlparts.sklearn",
    "keras_dlparts.testing",
    "keras_tuner",
    "matplotlib.pyplot",
    "pydantic.v1",
    "tensorflow_datasets",
    "typer",
)


@pytest.mark.slow
def test_a_training_imports_nothing_needless(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert done.returncode == 0, done.stderr
    loaded = {*json.loads(done.stdout.splitlines()[-1])}
    assert "keras_dlparts.training.session" in loaded
    assert [name for name in NEEDLESS if name in loaded] == []
