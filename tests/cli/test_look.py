"""`dlparts look` prints what `analysis.signal_report` finds, of a config's model."""

import json

import pytest
import yaml

CONFIG = {
    "data": {"use": "digits", "batch_size": 32},
    "model": [
        {
            "use": "Dense",
            "units": 32,
            "activation": "tanh",
            "kernel_initializer": {"use": "Critical", "activation": "tanh", "seed": 1},
        },
        {
            "use": "Dense",
            "name": "bad",
            "units": 32,
            "kernel_initializer": {"use": "RandomNormal", "stddev": 0.001},
        },
        {"use": "Dense", "units": 10},
    ],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
}


@pytest.mark.long
def test_it_names_the_bad_layer(tmp_path, dlparts):
    config = tmp_path / "a.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    picture = tmp_path / "signals.svg"
    code, text, _ = dlparts("look", config, "--figure", picture, width=200)
    assert code == 0
    assert text.startswith("layer ")
    assert "bad multiplies the gradient by 0.00" in text
    assert "The gradient is of the loss." in text
    assert picture.read_text().startswith("<?xml")
    code, text, _ = dlparts("look", config, "--json", "--samples", 8)
    found = json.loads(text)
    assert [layer["name"] for layer in found["layers"]][1] == "bad"
    assert len(found["jacobian"]["values"]) == 10


def test_it_needs_data_and_a_place_for_the_picture(tmp_path, dlparts):
    config = tmp_path / "a.yaml"
    config.write_text(yaml.safe_dump({k: v for k, v in CONFIG.items() if k != "data"}))
    code, _, error = dlparts("look", config, "--set", "model.0.units=8")
    assert code == 2
    config.write_text(yaml.safe_dump(CONFIG))
    code, _, error = dlparts("look", config, "--figure", tmp_path / "a.word")
    assert (code, "--figure" in error) == (2, True)
