"""The studies of energy models and the benchmark run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_dlparts.data.idx import write_idx

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
def test_the_energy_pictures_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    random = np.random.default_rng(0)
    for split, count in {"train": 120, "t10k": 20}.items():
        images = random.integers(0, 256, (count, 28, 28))
        write_idx(tmp_path / f"{split}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{split}-labels-idx1-ubyte", np.arange(count) % 10)
    for name, given in {"gibbs_chain": [], "completion": [tmp_path]}.items():
        command = [sys.executable, ROOT / f"examples/{name}.py", *given]
        command += ["--out", tmp_path, *(["--seeds", "0"] if given else [])]
        subprocess.run([str(part) for part in command], check=True, timeout=600)
    assert (tmp_path / "docs/figures/gibbs_chain.svg").stat().st_size > 1000
    assert (tmp_path / "docs/figures/completion.png").stat().st_size > 1000
    path = tmp_path / "benchmarks/results/completion.json"
    *rows, _ = json.loads(path.read_text())["rows"]
    error = {(r["task"], r["digits"], r["method"]): r["error"] for r in rows}
    assert len(error) == 20
    # What is stored comes back from noise, and what is not stored does not.
    assert error["noise", "seen", "modern"] == 0 < error["noise", "unseen", "modern"]
