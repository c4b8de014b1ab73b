"""Data shared out: every example is read once, by one worker."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_dlparts.data.batches import Batches
from keras_dlparts.data.spirals import Spirals
from keras_dlparts.distribute.shares import Share, cuts


def shares(batches, workers, local=1, even=True):
    owns = [range(w * local, (w + 1) * local) for w in range(workers)]
    return [Share(batches, workers * local, own, even) for own in owns]


def joined(parts, i):
    return np.concatenate([part[i][0] for part in parts])


@given(st.integers(1, 200), st.integers(1, 5), st.integers(1, 3), st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_every_example_is_seen_once(n, workers, local, of_one):
    replicas = workers * local
    batches = Batches(np.arange(n), batch_size=of_one * replicas, shuffle=True, seed=4)
    for even in (True, False):
        if n < replicas:
            with pytest.raises(ValueError, match="a sample for each replica"):
                shares(batches, workers, local, even)
            continue
        parts = shares(batches, workers, local, even)
        seen = [x for part in parts for i in range(len(part)) for x in part[i][0]]
        assert len(seen) == len(set(seen))
        over = n % batches.batch_size % replicas if even else 0
        assert len(seen) == n - over
        sizes = [[len(part[i][0]) for part in parts] for i in range(len(parts[0]))]
        assert min(map(min, sizes)) >= local
        if even:
            assert all(len({*step}) == 1 for step in sizes)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_parts_make_up_the_batches_of_one_process(workers):
    batches = Batches(np.arange(100), np.arange(100), 12, shuffle=True, seed=1)
    parts = shares(batches, workers)
    for epoch in range(2):
        batches.epoch = epoch
        for i in range(8):
            np.testing.assert_array_equal(joined(parts, i), batches[i][0])
    np.testing.assert_array_equal(parts[1][0][0], parts[1][0][1])


def test_the_order_follows_the_epoch():
    batches = Batches(np.arange(8), batch_size=4, shuffle=True)
    part = shares(batches, 2)[0]
    first = [part[i][0].tolist() for i in range(2)]
    part.on_epoch_end()
    assert batches.epoch == 1
    assert [part[i][0].tolist() for i in range(2)] != first


def test_of_several_local_replicas():
    batches = Batches(np.arange(8), batch_size=8)
    ours, theirs = shares(batches, 2, local=2)
    assert ours[0][0].tolist() == [0, 1, 2, 3]
    assert theirs[0][0].tolist() == [4, 5, 6, 7]


def test_each_step_that_was_fetched_is_told_once():
    told = []
    part = shares(Batches(np.arange(24), batch_size=8), 2, local=2)[1]
    started = time.perf_counter()
    read = [*part.to_tf_data(fetched=lambda *step: told.append(step))]
    assert [x.numpy().tolist() for (x,) in read][:2] == [[4, 5], [6, 7]]
    assert [step for step, _ in told] == [0, 1, 2]
    times = [started, *(began for _, began in told), time.perf_counter()]
    assert times == sorted(times)


def test_a_source_is_shared_out():
    source = Spirals(samples=100, batch_size=10, seed=2)
    for batches in (source.train, source.validation):
        parts = shares(batches, 2, even=False)
        seen = [row for p in parts for i in range(len(p)) for row in p[i][0].tolist()]
        assert sorted(seen) == sorted(batches.arrays()[0].tolist())


@pytest.mark.parametrize("even", [True, False])
def test_cuts_hold_all_rows_in_order(even):
    for n, size, replicas in itertools.product(range(4, 30), (4, 8), (2, 4)):
        found = cuts(n, size, replicas, even)
        assert found[0][0] == 0
        assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
        assert found[-1][1] == n - (n % size % replicas if even else 0)


def test_bad_sizes():
    with pytest.raises(ValueError, match=r"evenly.*batch_size=7 and 2.*Use 6"):
        cuts(20, 7, 2, even=True)
    with pytest.raises(ValueError, match=r"suffice.*batch_size=1 and 2.*Use 2"):
        cuts(20, 1, 2, even=False)
    with pytest.raises(ValueError, match="1 samples and 2 replicas"):
        cuts(1, 4, 2, even=False)
    assert cuts(2, 2, 2, even=False) == [(0, 2)]
