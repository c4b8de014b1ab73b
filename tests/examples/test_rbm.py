"""The picture of a Gibbs chain is drawn, and the benchmark runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.study
def test_the_benchmark_measures_both_sides():
    pytest.importorskip("sklearn")
    script = ROOT / "benchmarks/rbm.py"
    scores = []
    for system in ("scikit-learn", "tensorflow"):
        command = [sys.executable, script, "--one", system, "--sizes", "small"]
        found = subprocess.run(
            [str(part) for part in command],
            check=True,
            capture_output=True,
            timeout=600,
        )
        scores.append(json.loads(found.stdout.splitlines()[-1])["pseudo_likelihood"])
    assert abs(scores[0] - scores[1]) < 2


@pytest.mark.study
def test_the_picture_of_a_chain_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    command = [sys.executable, ROOT / "examples/gibbs_chain.py", "--out", tmp_path]
    subprocess.run([str(part) for part in command], check=True, timeout=600)
    assert (tmp_path / "docs/figures/gibbs_chain.svg").stat().st_size > 1000
