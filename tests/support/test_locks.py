"""A lock that one process holds, that a kill ends, and that a disk may lack."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from keras_dlparts.support import locks
from keras_dlparts.support.locks import Locked, lock

HOLD = """
import os, pathlib, sys, time
from keras_dlparts.support.locks import lock
with lock(pathlib.Path(sys.argv[1]), print):
    child = os.fork() if "fork" in sys.argv else 1
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.lock"


@pytest.fixture
def holder(path):
    """Start a process that holds the lock; gives it, and the child it forked."""
    started = []

    def start(*more):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), *more],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_process_is_told_who_holds_it(path, holder):
    process, _ = holder()
    with pytest.raises(Locked, match=rf"^process {process.pid} on .* since \d+-"):
        lock(path, print).__enter__()
    assert path.exists()  # the other's lock is as it was
    with pytest.raises(Locked):
        lock(path, print).__enter__()


def test_a_killed_process_holds_nothing(path, holder):
    process, _ = holder()
    process.kill()
    process.wait()
    assert path.exists()
    with lock(path, print):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert not path.exists()


def test_nor_does_a_process_that_it_forked(path, holder):
    process, child = holder("fork")
    process.kill()
    process.wait()
    try:
        os.kill(child, 0)  # it lives
        with lock(path, print):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_file_that_was_removed_meanwhile_is_no_lock(path, monkeypatch):
    """Its owner removes it after this process opened it and before it locks it."""
    taken, lockf = [], locks.fcntl.lockf

    def removed_first(file, how):
        if not taken:
            path.unlink()
        taken.append(file)
        lockf(file, how)

    monkeypatch.setattr(locks.fcntl, "lockf", removed_first)
    with lock(path, print):
        assert len(taken) == 2
        assert path.exists()


def test_a_disk_without_locks_is_told(path, monkeypatch):
    def missing(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "lockf", missing)
    said = []
    with lock(path, said.append):
        pass
    assert "on a file system without locks" in said[0]
