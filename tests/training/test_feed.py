"""The time spent waiting for data: what counts, what does not, what a run shows."""

import threading
import time

import pytest

from keras_dlparts import train
from keras_dlparts.data import Batches
from keras_dlparts.training import feed
from keras_dlparts.training.feed import Waiting


@pytest.fixture
def clock(monkeypatch):
    """A clock that only goes on where it is told to."""
    now = [0.0]
    monkeypatch.setattr(feed.time, "perf_counter", lambda: now[0])
    return now


def elsewhere(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


def test_fetching_in_the_thread_that_trains_counts_in_full(clock):
    waiting = Waiting()
    assert waiting.seconds is None
    for step in range(3):
        began, clock[0] = clock[0], clock[0] + 2
        waiting.fetched(step, began)
        waiting.ask(step)
        clock[0] += 5  # the step
        waiting.got()
    assert waiting.seconds == 6


def test_fetching_ahead_counts_only_where_the_step_stood_still(clock):
    waiting = Waiting()
    elsewhere(waiting.fetched, 0, 0)  # there at once
    waiting.ask(0)
    clock[0] += 5
    waiting.got()
    assert waiting.seconds == 0
    waiting.ask(1)
    clock[0] += 3
    elsewhere(waiting.fetched, 1, 0)  # three seconds after it was asked for
    clock[0] += 4
    waiting.got()
    assert waiting.seconds == 3
    waiting.begin_epoch()
    assert waiting.seconds is None


CONFIG = {
    "data": {"use": "spirals", "samples": 160, "batch_size": 32},
    "model": [{"use": "Dense", "units": 3}],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": 2},
    "compile": {"steps_per_execution": 1},
}


@pytest.mark.long
def test_a_run_shows_the_share(tmp_path, monkeypatch):
    """A source that takes 150 ms a batch keeps steps of a few milliseconds waiting."""
    samples = Batches._samples

    def slowly(self, rows):
        time.sleep(0.15)
        return samples(self, rows)

    quick = train(CONFIG, out=tmp_path / "quick")
    monkeypatch.setattr(Batches, "_samples", slowly)
    slow = train(CONFIG, out=tmp_path / "slow")
    for run in (quick, slow):
        assert all(0 <= share <= 1 for share in run.history["data_wait_share"])
        page = (run.path / "report.html").read_text()
        assert "share of time waiting for data" in page
    # In seconds: a quick run's steps of a millisecond wait for much of them, too.
    low, high = (
        run.history["data_wait_share"][1] * run.history["seconds"][1]
        for run in (quick, slow)
    )
    assert high > 0.5 * 5 * 0.15  # half of what the source slept, or more
    assert low < 0.3 * high
