"""Every claim runs, a stopped run goes on, and what is asked wrongly is told."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples.claims.__main__ import main
from examples.claims.claim import load, load_all
from examples.claims.making import pool_of
from keras_dlparts.support.processes import cores

ROOT = Path(__file__).resolve().parents[2]

# These take less than five seconds; the others compile many nets or large ones.
QUICK = {
    *("hopfield_capacity", "invariances", "modern_hopfield_capacity"),
    *("orthogonal_jacobian", "overfitting", "rbm_features", "starting_weights"),
    "vanishing_weights",
}


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(claim.name, marks=[pytest.mark.study] * (claim.name not in QUICK))
        for claim in load_all()
    ],
)
def test_a_claim_runs(name, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    before = dict(os.environ)
    monkeypatch.chdir(ROOT)
    out = ["--out", str(tmp_path)]
    assert main([name, "--budget", "smoke", "--seeds", "1", *out]) == 0
    assert dict(os.environ) == before, "what runs next would be another backend's"
    claim = load(name)
    rows = claim.rows("smoke", tmp_path)
    assert [row["way"] for row in rows] == [*claim.ways]
    for one in claim.criteria:
        assert any(one.figure in row for row in rows if row["way"] == one.of)
    assert claim.image(tmp_path).stat().st_size > 1000


@pytest.mark.study
def test_a_killed_run_goes_on(tmp_path):
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-m", "examples.claims", "starting_weights"]
    command += ["--budget", "smoke", "--seeds", "400", "--out", str(tmp_path)]
    path = tmp_path / "starting_weights/smoke.json"
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    give_up = time.monotonic() + 120
    while not path.exists() or len(json.loads(path.read_text())["rows"]) < 3:
        assert running.poll() is None, "it ended before it was killed"
        assert time.monotonic() < give_up
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    before = json.loads(path.read_text())["rows"]
    assert len(before) < 2000
    command[command.index("400")] = str(1 + before[-1]["seed"])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    after = json.loads(path.read_text())["rows"]
    assert after[: len(before)] == before
    assert len({(row["way"], row["seed"]) for row in after}) == len(after)
    made = len(after) - len(before)
    assert f"starting_weights, smoke: {made} rows to make" in done.stdout
    assert f"\n{made} of {made}: " in done.stdout


@pytest.mark.study
def test_several_processes_make_the_same_rows(tmp_path):
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-m", "examples.claims", "starting_weights"]
    command += ["--budget", "smoke", "--seeds", "3", "--out"]
    rows = []
    for jobs in "1", "2":
        out = [str(tmp_path / jobs), "--jobs", jobs]
        subprocess.run(command + out, cwd=ROOT, capture_output=True, check=True)
        path = tmp_path / jobs / "starting_weights/smoke.json"
        rows.append(json.loads(path.read_text())["rows"])
        for row in rows[-1]:
            del row["seconds"]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 3 * len(load("starting_weights").ways)


@pytest.mark.slow
def test_each_process_has_its_share_of_the_processor():
    with pool_of(2) as pool:
        threads = {int(pool.submit(os.getenv, "NPROC").result()) for _ in range(4)}
    assert threads <= {max(1, cores() // 2), max(1, cores() // 2 + cores() % 2)}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing"], "there is no claim 'nothing'; there are "),
        (["degradation", "--seeds", "0"], "--seeds must be at least 1. Received: 0"),
        (["degradation", "--jobs", "0"], "--jobs must be at least 1. Received: 0"),
        (["degradation", "--budget", "weeks"], "invalid choice: 'weeks'"),
    ],
)
def test_what_is_asked_wrongly(arguments, told, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert told in capsys.readouterr().err


def test_the_list_has_every_claim(capsys):
    assert main([]) == 0
    told = capsys.readouterr().out
    assert all(f"{claim.name}: " in told for claim in load_all())
