"""The config of the claim on clipping."""

from pathlib import Path

import keras_dlparts
from examples.claims.data import made
from keras_dlparts.optimizers import Percentile

ROOT = Path(__file__).resolve().parents[2]


def test_a_choice_of_the_config_is_what_its_name_says(tmp_path):
    sets = [f"data.path={made(tmp_path)}", "optimizer.default='Clipped#2'"]
    model = keras_dlparts.build(ROOT / "examples/claims/clipping/config.yaml", sets)
    assert isinstance(model.optimizer.by, Percentile)
