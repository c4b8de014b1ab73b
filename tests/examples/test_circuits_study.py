"""The studies of circuits, deepening and over-fitting run, and show what they say."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
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


@pytest.mark.study
def test_a_ridge_on_the_high_powers_mends_over_fitting(tmp_path):
    found = rows(tmp_path, "overfitting", "--seeds", 2)
    houses = {row["model"]: row for row in found if row["what"] == "houses"}
    degree, ridge = houses["degree 5"], houses["degree 5, ridge on powers 3 to 5"]
    assert degree["train_rmse"] < ridge["train_rmse"]
    assert degree["test_rmse"] > 2 * ridge["test_rmse"]
    l1, l2 = (
        next(row["weights"] for row in found[::-1] if row.get("penalty") == name)
        for name in ("L1", "L2")
    )
    assert abs(l1[0]) < 0.02 < 0.2 < l2[0]


def idx(path, array):
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(head + sizes + array.astype("uint8").tobytes())


@pytest.mark.study
def test_the_study_of_deepening_runs(tmp_path):
    random = np.random.default_rng(0)
    for split in ("train", "t10k"):
        idx(
            tmp_path / f"{split}-images-idx3-ubyte",
            random.integers(0, 256, (64, 28, 28)),
        )
        idx(tmp_path / f"{split}-labels-idx1-ubyte", random.integers(0, 10, 64))
    asked = [tmp_path, "--seeds", 0, "--more", 1, "--epochs", 2]
    found = rows(tmp_path, "deepen", *asked)
    assert [row["net"] for row in found] == [
        *("shallow", "deepened", "residual", "scratch")
    ]
    assert all(row["change_of_outputs"] == 0 for row in found[:3])
