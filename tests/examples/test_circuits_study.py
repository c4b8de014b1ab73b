"""The study of circuits runs, and shows what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def rows(tmp_path, name, *asked):
    pytest.importorskip("matplotlib")
    path = ROOT / "examples" / f"{name}.py"
    command = [sys.executable, path, *asked, "--out", tmp_path]
    subprocess.run(list(map(str, command)), check=True, timeout=600)
    found = tmp_path / f"benchmarks/results/{name}.json"
    return json.loads(found.read_text())["rows"]


@pytest.mark.study
def test_the_error_of_an_approximation_falls_as_its_rate(tmp_path):
    found = rows(tmp_path, "circuits")["approximation"]
    deep = [row for row in found if "width" in row]
    assert {row["inputs"] for row in deep} == {1, 2, 3}
    # With the slope 2.4 the bound is 2.4 (1 / K + sqrt(d) / 2K), K being rounded.
    assert all(row["error"] < 4 * row["inputs"] * row["rate"] for row in deep)
