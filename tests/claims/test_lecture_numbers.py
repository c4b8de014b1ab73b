"""The recorded rows have the numbers that lecture notes and papers print."""

import numpy as np
import pytest

from examples.claims.claim import load


def test_deviations_of_ten_layers():
    found = {}
    for row in load("starting_weights").rows("minutes"):
        found.setdefault(row["way"], []).append(row["by_layer"])
    mean = {way: np.mean(rows, axis=0) for way, rows in found.items()}
    small = [0.214, 0.048, 0.0106, 0.0024]
    assert mean["tanh, deviation .01"][:4] == pytest.approx(small, rel=0.05)
    assert mean["tanh, deviation 1"] == pytest.approx([0.982] * 10, abs=0.002)
    lecun = mean["tanh, LeCun"][[0, 1, 2, 9]]
    assert lecun == pytest.approx([0.628, 0.487, 0.408, 0.227], rel=0.03)
    assert mean["ReLU, LeCun"][:2] == pytest.approx([0.583, 0.408], rel=0.05)


def test_errors_of_approximations_stay_below_their_bound():
    for row in load("width_and_depth").rows("minutes"):
        if row["settings"].get("shallow"):
            continue
        inputs = row["settings"]["inputs"]
        rates = np.array(row["products"]) ** (-2 / inputs)
        # With the slope 2.4 the bound is 2.4 (1 / K + sqrt(d) / 2K), K being rounded.
        assert (row["errors"] < 4 * inputs * rates).all()
