"""PerceptronLoss against its formula."""

import numpy as np
import pytest
from keras import ops

from keras_dlparts.losses import PerceptronLoss

RANDOM = np.random.default_rng(0)
T, Y = RANDOM.normal(size=(2, 4, 3)).astype("float32")


def reference(t, y):
    return np.array(
        [
            sum((a - b) ** 2 for a, b in zip(*row, strict=True)) / 2
            for row in zip(t, y, strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("reduction", "reduce"),
    [("sum_over_batch_size", np.mean), ("sum", np.sum), (None, np.asarray)],
)
def test_it_is_the_formula(reduction, reduce):
    found = ops.convert_to_numpy(PerceptronLoss(reduction=reduction)(T, Y))
    np.testing.assert_allclose(found, reduce(reference(T, Y)), rtol=1e-5)


def test_sample_weights_count():
    weight = np.array([0.0, 1.0, 2.0, 3.0], "float32")
    found = float(PerceptronLoss(reduction="sum")(T, Y, sample_weight=weight))
    assert found == pytest.approx((weight * reference(T, Y)).sum(), rel=1e-5)


def test_flat_and_whole_targets():
    """Labels of shape (batch,), integers, for one unit: no (batch, batch) table."""
    labels = np.array([0, 1, 1, 0])
    found = ops.convert_to_numpy(PerceptronLoss(reduction=None).call(labels, Y[:, :1]))
    np.testing.assert_allclose(found, reference(labels[:, None], Y[:, :1]), rtol=1e-5)


def test_of_answers_it_is_half_the_wrong_ones():
    t, y = RANDOM.integers(0, 2, (2, 5, 4)).astype("float32")
    assert float(PerceptronLoss(reduction="sum")(t, y)) == (t != y).sum() / 2
