"""The numbers of lecture notes and papers come out of the example on depth."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.study
def test_deviations_and_singular_values(tmp_path):
    pytest.importorskip("matplotlib")
    path = ROOT / "examples/depth.py"
    asked = ["--only", "deviations", "jacobian", "--seeds", "0", "--out", tmp_path]
    subprocess.run([sys.executable, path, tmp_path, *asked], check=True, timeout=300)

    def rows(name):
        found = tmp_path / f"benchmarks/results/depth_{name}.json"
        return json.loads(found.read_text())["rows"]

    found = {row["start"]: row["deviation"] for row in rows("deviations")}
    small = found["tanh, deviation .01"][:4]
    assert small == pytest.approx([0.214, 0.048, 0.0106, 0.0024], rel=0.05)
    assert found["tanh, deviation 1"] == pytest.approx([0.982] * 10, abs=0.002)
    lecun = found["tanh, 1 / sqrt n (LeCun)"]
    assert [lecun[i] for i in (0, 1, 2, 9)] == pytest.approx(
        [0.628, 0.487, 0.408, 0.227], rel=0.03
    )
    fading = found["ReLU, 1 / sqrt n"]
    assert fading[:2] == pytest.approx([0.583, 0.408], rel=0.05)
    orthogonal, gaussian = rows("jacobian")
    assert orthogonal["median"] == pytest.approx(0.965, abs=0.1)
    assert orthogonal["largest"] < 1.6
    assert gaussian["median"] < 1e-3 < 3 < gaussian["largest"]
