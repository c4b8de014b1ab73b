"""A config of second order resumes; the studies of perceptrons and circuits run."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_dlparts

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_config_trains_and_resumes_to_the_same_weights(tmp_path):
    """Four epochs at once, and two and two more: estimates go on where they were.

    Nine layers are made before the last part. Were they counted, its names would be
    dense_9 and dense_10, and TensorFlow would add up in another order.
    """
    config = ROOT / "examples/diagonal_newton.yaml"
    sets = ["data.batch_size=256", "callbacks[0].every=7", "model[0].units=4"]
    whole = keras_dlparts.train(config, sets, out=tmp_path / "a", epochs=4)
    keras_dlparts.train(config, sets, out=tmp_path / "b", epochs=2)
    keras.backend.clear_session()
    assert [keras.layers.Dense(1).name for _ in range(9)][-1] == "dense_8"
    parts = keras_dlparts.train(config, sets, tmp_path / "b", resume=True, epochs=4)
    models = [
        keras_dlparts.load_model(Path(run.path) / "last.keras")
        for run in (whole, parts)
    ]
    for one, other in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(models[1].optimizer.estimates.numpy()) > 2


@pytest.mark.study
@pytest.mark.parametrize(
    ("script", "arguments", "picture"),
    [
        ("circuits", "", "circuits_sawtooth.svg"),
        ("xor", "--seeds 0 --epochs 1", "xor.svg"),
    ],
)
def test_the_studies_run(script, arguments, picture, tmp_path):
    pytest.importorskip("matplotlib")
    command = [sys.executable, str(ROOT / "examples" / f"{script}.py")]
    command += [*arguments.split(), "--out", str(tmp_path)]
    subprocess.run(command, check=True, timeout=900)
    result = json.loads((tmp_path / f"benchmarks/results/{script}.json").read_text())
    assert result["rows"]
    assert (tmp_path / "docs/figures" / picture).stat().st_size > 5000
