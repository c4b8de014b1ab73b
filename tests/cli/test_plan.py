"""`dlparts plan` prints what `keras_dlparts.plan` counts; that is in tests/config."""

import json

import pytest

from keras_dlparts import cli
from keras_dlparts.cli import console
from keras_dlparts.cli.plan import size

TRAINED = 64 * 10 + 10  # a Dense layer of 10 on the 64 pixels of the digits
CONFIG = {
    "data": {"use": "digits", "batch_size": 64},
    "model": [{"use": "Dense", "units": 10}],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
}


def test_the_command_prints_it(tmp_path, capsys, monkeypatch):
    config = tmp_path / "a.json"
    config.write_text(json.dumps(CONFIG))

    def said(*more):
        arguments = ["dlparts", "plan", str(config), "--replicas", "4", *more]
        monkeypatch.setattr("sys.argv", arguments)
        monkeypatch.setattr(console.out, "width", 100)
        cli.main()
        return capsys.readouterr().out

    with pytest.raises(SystemExit):
        said()
    text = capsys.readouterr().out
    assert "4, a batch of 64 shared: 16 each" in text
    assert f"{TRAINED:,}" in text
    assert "PCIe 4.0 x16" in text
    with pytest.raises(SystemExit):
        said("--json")
    found = json.loads(capsys.readouterr().out)
    assert found["wire_bytes_per_step"] == 2 * 3 / 4 * 4 * TRAINED


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (4.2e6, "4.2 MB"), (2e15, "2000 TB")],
)
def test_sizes_are_told_in_thousands(count, text):
    assert size(count) == text
