"""SparseInit: how many weights there are, where, and how large."""

import numpy as np
import pytest
from keras import ops

from keras_dlparts.initializers import SparseInit
from keras_dlparts.initializers.sparse_init import keep_lowest


def test_the_inputs_with_the_lowest_noise_are_kept():
    values = np.arange(1.0, 7.0).reshape(3, 2)
    u = np.array([[0.5, 0.1], [0.2, 0.3], [0.9, 0.2]])
    kept = ops.convert_to_numpy(keep_lowest(values, u, 2))
    np.testing.assert_array_equal(kept, [[1, 2], [3, 0], [0, 6]])


def test_count_and_size_are_those_asked_for():
    kernel = ops.convert_to_numpy(SparseInit(15, stddev=0.5, seed=1)((3, 3, 10, 100)))
    assert ((kernel != 0).sum(axis=(0, 1, 2)) == 15).all()
    assert kernel[kernel != 0].std() == pytest.approx(0.5, rel=0.1)
    assert len({tuple(np.flatnonzero(k)) for k in kernel.reshape(-1, 100).T}) > 95
    few = ops.convert_to_numpy(SparseInit(15, seed=1)((4, 2)))
    assert (few != 0).all()


def test_numbers_are_checked():
    with pytest.raises(ValueError, match="connections"):
        SparseInit(0)
    with pytest.raises(ValueError, match="stddev"):
        SparseInit(stddev=0)
