"""The config of the claim on clipping."""

import sys
from pathlib import Path

import keras_dlparts
from keras_dlparts.optimizers import Percentile

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # behind the installed package

from examples.claims.data import made  # noqa: E402


def test_a_choice_of_the_config_is_what_its_name_says(tmp_path):
    sets = [f"data.path={made(tmp_path)}", "optimizer.default='Clipped#2'"]
    model = keras_dlparts.build(ROOT / "examples/claims/clipping/config.yaml", sets)
    assert isinstance(model.optimizer.by, Percentile)
