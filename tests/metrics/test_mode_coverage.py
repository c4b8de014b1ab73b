"""ModeCoverage against a count by hand, and the mixtures that it counts in."""

import numpy as np
import pytest

from keras_dlparts.data import Gaussians
from keras_dlparts.metrics import ModeCoverage

RANDOM = np.random.default_rng(0)


def reference(x, means, radius):
    gaps = np.linalg.norm(x[:, None] - means, axis=-1)
    near = gaps.min(axis=1) <= radius
    return len(set(gaps.argmin(axis=1)[near])), near.mean()


@pytest.mark.parametrize(("arrangement", "radius"), [("ring", 0.03), ("grid", 0.15)])
def test_it_is_the_count(arrangement, radius):
    means = Gaussians(arrangement).means
    x = means[RANDOM.integers(0, 5, 60)] + RANDOM.normal(0, radius / 2, (60, 2))
    modes, share = reference(x, means, radius)
    metrics = [ModeCoverage(arrangement, measure=m) for m in ("modes", "high_quality")]
    for metric in metrics:
        for part in (x[:40], x[40:]):
            metric.update_state(None, part)
    assert [float(m.result()) for m in metrics] == [modes, pytest.approx(share)]
    assert 0 < share < 1
    assert modes < len(means)
    metrics[0].reset_state()
    assert float(metrics[0].result()) == 0


def test_the_data_is_of_high_quality():
    """Within 3 deviations in the plane are 1 - exp(-9/2) = 98.9 % of a Gaussian."""
    for arrangement, modes in (("ring", 8), ("grid", 25)):
        x, y = Gaussians(arrangement, samples=4000, validation_split=0).train.arrays()
        assert set(y) == set(range(modes))
        share = ModeCoverage(arrangement, measure="high_quality")
        share.update_state(y, x)
        assert float(share.result()) == pytest.approx(0.989, abs=0.01)


def test_bad_arguments():
    with pytest.raises(ValueError, match="square number, such as 25"):
        ModeCoverage("grid", modes=8)
    with pytest.raises(ValueError, match="`within` must be a finite number, greater"):
        ModeCoverage(within=0)
    with pytest.raises(ValueError, match="`measure` must be one of"):
        ModeCoverage(measure="all")
    with pytest.raises(ValueError, match=r"of shape \(batch, 2\). Received: .*\(4, 3"):
        ModeCoverage().update_state(None, np.zeros((4, 3)))
