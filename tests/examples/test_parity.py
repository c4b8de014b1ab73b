"""The study of parity runs, and counts what its formulas say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def parity(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    import parity

    return parity


@pytest.mark.long
def test_equal_coefficients_of_the_even_patterns_meet_the_bound(parity):
    for d in (2, 5):
        x, odd = parity.patterns(range(2**d), d)
        assert x[1].tolist() == [0] * (d - 1) + [1]
        f = parity.even_templates(d).predict_on_batch(x)[:, 0]
        np.testing.assert_allclose(f, 2 * odd - 1, atol=1e-4)
    found = parity.counted(5)
    assert found["even_templates"] == found["bound"] == 16 <= found["svc"]
    assert found["errors"] == [0, 0, 0, 0]


@pytest.mark.study
def test_the_study_runs(tmp_path):
    command = [sys.executable, ROOT / "examples/parity.py"]
    options = ["--bits", "4", "--seeds", "0", "--out", tmp_path]
    subprocess.run([*command, *options], check=True, cwd=tmp_path)
    rows = json.loads((tmp_path / "benchmarks/results/parity.json").read_text())["rows"]
    assert [row["bits"] for row in rows[:-1]] == [2, 3, 4]
    assert (tmp_path / "docs/figures/parity.svg").stat().st_size > 1000
