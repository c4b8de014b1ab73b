"""Real processes, killed: workers, the chief, both. Nothing finished is lost."""

import json
import os
import re
import resource
import signal
import subprocess
import sys

import pytest
import yaml
from helpers import processes
from helpers.processes import children, gone, until
from helpers.searches import CONFIG

from keras_dlparts import Search, SearchFailed, search
from keras_dlparts.searching.chief import ending
from keras_dlparts.support import files

pytestmark = pytest.mark.slow


def start(config, folder, *options, epochs=20, name="config.yaml"):
    """Start the command on a config whose trials take a few seconds each."""
    config["fit"]["epochs"] = epochs
    config.pop("compile", None)
    path = folder / name
    path.write_text(yaml.safe_dump(config))
    return processes.start(
        "search", path, "--out", folder / "s", *options, stderr=subprocess.STDOUT
    )


def workers_of(pid):
    """The worker processes of a chief."""
    return children(pid, b"searching.worker")


def running_epochs(folder, at_least=1):
    """Trials under way with some epochs done: {id: epochs}."""
    found = {}
    for trial in Search(folder).trials:
        status = json.loads((trial.path / "status.json").read_text())
        if trial.status == "RUNNING" and status["epoch"] >= at_least:
            found[trial.trial_id] = status["epoch"]
    return found


def finished(process, code=0):
    said, _ = process.communicate(timeout=150)
    assert process.returncode == code, said
    return said


def scores(folder):
    return {trial.trial_id: trial.score for trial in Search(folder).completed}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The scores of three trials that nothing disturbed, in one process."""
    folder = tmp_path_factory.mktemp("u")
    whole = search(
        {**CONFIG, "compile": {}, "fit": {"epochs": 20}}, out=folder / "s", trials=3
    )
    return {trial.trial_id: trial.score for trial in whole.trials}


@pytest.mark.study  # test_chief_and_worker_killed_at_once has its like in CI
def test_a_killed_worker_is_restarted_and_finishes_its_trial(
    config, tmp_path, undisturbed
):
    process = start(config, tmp_path, "--workers", 2, "--trials", 3)
    until(lambda: running_epochs(tmp_path / "s", 2))
    killed = workers_of(process.pid)[0]
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(workers_of(process.pid)) == 2)
    said = finished(process)
    assert "its process was killed by SIGKILL (out of memory?); tried again" in said
    assert scores(tmp_path / "s") == undisturbed


@pytest.mark.study
def test_a_trial_that_kills_its_worker_fails_and_the_search_goes_on(config, tmp_path):
    process = start(
        config, tmp_path, "--workers", 1, "--isolate", "--retries", 0, "--trials", 2
    )
    (victim,) = until(lambda: running_epochs(tmp_path / "s"))
    os.kill(workers_of(process.pid)[0], signal.SIGSEGV)
    finished(process)
    found = Search(tmp_path / "s")
    assert [trial.trial_id for trial in found.failed] == [victim]
    assert "was killed by SIGSEGV" in found.failed[0].notes["reason"]
    assert len(found.completed) == 1
    assert "SIGSEGV" in (found.path / "report.html").read_text()


@pytest.mark.study
def test_a_killed_chief_takes_its_workers_along_and_is_resumed(
    config, tmp_path, undisturbed
):
    process = start(config, tmp_path, "--workers", 2, "--trials", 3)
    until(lambda: running_epochs(tmp_path / "s", 2))
    workers = workers_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    until(lambda: gone(workers), 10)
    again = start(config, tmp_path, "--workers", 2, "--trials", 3, "--resume")
    finished(again)
    assert scores(tmp_path / "s") == undisturbed


def test_chief_and_worker_killed_at_once(config, tmp_path, undisturbed):
    process = start(config, tmp_path, "--workers", 2, "--trials", 3)
    until(lambda: Search(tmp_path / "s").completed)
    before = scores(tmp_path / "s")
    victims = [*workers_of(process.pid)[:1], process.pid]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    again = start(config, tmp_path, "--trials", 3, "--resume")
    finished(again)
    after = scores(tmp_path / "s")
    assert before.items() <= after.items()
    assert after == undisturbed


@pytest.mark.study
def test_a_killed_search_in_one_process_is_resumed(config, tmp_path, undisturbed):
    process = start(config, tmp_path, "--trials", 3)
    until(lambda: running_epochs(tmp_path / "s", 2))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    finished(start(config, tmp_path, "--trials", 3, "--resume"))
    assert scores(tmp_path / "s") == undisturbed


@pytest.mark.study
def test_ctrl_c_stops_everything(config, tmp_path):
    process = start(config, tmp_path, "--workers", 2, "--trials", 9)
    until(lambda: running_epochs(tmp_path / "s"))
    workers = workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    said = finished(process, 1)
    assert "stopped. Continue with the same command and --resume" in said
    assert "Traceback" not in said
    assert gone(workers)
    assert Search(tmp_path / "s").state == "stopped"


@pytest.mark.study
def test_workers_join_from_elsewhere(config, tmp_path, undisturbed):
    """Another folder stands for another machine; another config is turned away."""
    chief = start(
        config, tmp_path, "--workers", 0, "--listen", "localhost", "--trials", 3
    )
    lines = []
    for line in chief.stdout:
        lines.append(line)
        if "private network" in line:
            break
    said = "".join(lines)
    assert "has no authentication" in said
    address = re.search(r"--join (\S+)", said)[1]
    (tmp_path / "other").mkdir()
    wrong = {**config, "metrics": []}
    turned = start(wrong, tmp_path / "other", "--join", address)
    assert "searches another config" in finished(turned, 1)
    turned = start(
        config, tmp_path / "other", "--join", address, "--objective", "val_accuracy"
    )
    assert "or for another objective" in finished(turned, 1)
    joined = start(config, tmp_path / "other", "--join", address, "--workers", 2)
    finished(joined)
    finished(chief)
    assert scores(tmp_path / "s") == undisturbed
    assert (tmp_path / "other" / "s" / "trial_0" / "report.html").exists()
    assert (tmp_path / "s" / "best" / "config.yaml").exists()


def test_workers_that_cannot_start_are_given_up(config, tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(SearchFailed, match=r"do not start.*\nno such module"):
        search(config, out=tmp_path / "s", workers=2, trials=2)
    log = (tmp_path / "s" / "workers" / "tuner0.log").read_text()
    assert log == "no such module\n" * 3


@pytest.mark.study
def test_a_worker_that_finds_no_room_ends_the_search(config, tmp_path):
    """A limit on the size of files, which the workers inherit, stands for a full disk:
    a checkpoint is above it, what the chief writes is below."""
    config["model"] = [{"use": "Dense", "units": 9000}, {"use": "Dense", "units": 2}]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(files.DiskFull, match=r"worker tuner\d found no room"):
            search(config, out=tmp_path / "s", workers=2, trials=2, retries=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    stopped = Search(tmp_path / "s")
    assert not stopped.failed
    again = search(config, out=tmp_path / "s", trials=2, resume=True)
    assert len(again.completed) == 2


def test_words():
    assert ending(-9) == "was killed by SIGKILL (out of memory?)"
    assert ending(-11) == "was killed by SIGSEGV"
    assert ending(7) == "ended with exit code 7"
