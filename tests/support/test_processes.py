"""What each of several processes may use, also where the system is not Linux."""

import os

from keras_dlparts.support import processes


def threads(count):
    shares = [processes.environment(n, count) for n in range(count)]
    return [int(share["OMP_NUM_THREADS"]) for share in shares]


def test_the_cores_are_shared_and_none_is_left_over(monkeypatch):
    monkeypatch.setattr(processes, "cores", lambda: 8)
    assert threads(3) == [3, 3, 2]
    assert threads(9) == [1] * 9


def test_where_a_process_is_confined_its_own_cores_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert processes.cores() == 2


def test_where_the_system_does_not_tell_all_cores_count(monkeypatch):
    """macOS has no `os.sched_getaffinity`."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert threads(2) == [3, 3]
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads(1) == [1]


def test_each_has_an_accelerator_of_those_it_may_see(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-7f")
    assert processes.accelerators() == ["2", "GPU-7f"]
    shares = [processes.environment(n, 3) for n in range(3)]
    assert [s["CUDA_VISIBLE_DEVICES"] for s in shares] == ["2", "GPU-7f", "2"]
    assert all(s["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for s in shares)
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in processes.environment(0, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES" not in processes.environment(0, 1)
