"""OrthogonalBlocks: each gate's part is orthogonal, and no two are the same."""

import keras
import numpy as np
import pytest

from keras_dlparts.initializers import OrthogonalBlocks


def blocks(shape, **arguments):
    kernel = keras.ops.convert_to_numpy(OrthogonalBlocks(**arguments)(shape))
    return np.split(kernel, range(shape[0], shape[1], shape[0]), axis=1)


def test_each_block_keeps_lengths_and_is_another_one():
    first, second, rest = blocks((5, 12), gain=0.5, seed=3)
    for q in (first, second, rest):
        np.testing.assert_allclose(q.T @ q, 0.25 * np.eye(q.shape[1]), atol=1e-6)
    assert np.abs(first - second).max() > 0.1
    again, *_ = blocks((5, 12), gain=0.5, seed=3)
    np.testing.assert_array_equal(first, again)
    unseeded = blocks((5, 10))
    assert np.abs(unseeded[0] - unseeded[1]).max() > 0.1


def test_identity_blocks_give_the_state_back():
    for block in blocks((3, 6), gain=2.0, identity=True):
        np.testing.assert_array_equal(block, 2 * np.eye(3))


def test_keras_own_orthogonal_shrinks_what_a_gate_gets():
    """The reason why there are blocks: rows of n of 4 n columns have 1/4 of the sum of
    squares in a block, so a state keeps half of its length."""
    whole = keras.ops.convert_to_numpy(keras.initializers.Orthogonal(seed=0)((64, 256)))
    gate = whole[:, :64]
    assert np.sqrt((gate**2).sum() / 64) == pytest.approx(0.5, abs=0.03)
    (gate, *_) = blocks((64, 256), seed=0)
    assert np.sqrt((gate**2).sum() / 64) == pytest.approx(1.0, abs=1e-5)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`gain` must be"):
        OrthogonalBlocks(0.0)
    with pytest.raises(ValueError, match="two axes at least"):
        OrthogonalBlocks()((3,))
