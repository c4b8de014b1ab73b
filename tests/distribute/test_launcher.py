"""The launcher and its workers: programs that end, fail, hang and are killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from keras_dlparts.distribute import launcher

# In place of Python, a worker; after it come its deeds.
WORKER = f"""#!{sys.executable}
import json, os, signal, sys, time
place = json.loads(os.environ["TF_CONFIG"])
index = place["task"]["index"]
def note(name, text=""):
    with open(os.path.join(sys.argv[3], name), "w") as file:
        file.write(text)
note("pid" + str(index), str(os.getpid()))
"""


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """`launch(code, workers=2)` -> (exit code, what was said)."""

    def run(code, workers=2):
        program = tmp_path / "python"
        program.write_text(WORKER + textwrap.dedent(code))
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        said = []
        return launcher.launch([str(tmp_path)], workers, said.append), "\n".join(said)

    return run


def is_alive(tmp_path, index):
    pid = int((tmp_path / f"pid{index}").read_text())
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_worker_knows_who_it_is(launch, tmp_path):
    code, said = launch("note('told' + str(index), os.environ['TF_CONFIG'])", 3)
    assert (code, said) == (0, "")
    told = [json.loads((tmp_path / f"told{i}").read_text()) for i in range(3)]
    assert [t["task"] for t in told] == [
        {"type": "worker", "index": i} for i in range(3)
    ]
    assert told[0]["cluster"] == told[1]["cluster"] == told[2]["cluster"]
    assert len({*told[0]["cluster"]["worker"]}) == 3
    assert all(a.startswith("127.0.0.1:") for a in told[0]["cluster"]["worker"])


def test_a_killed_worker_ends_all_at_once(launch, tmp_path):
    started = time.monotonic()
    code, said = launch(
        """
        if index == 1:
            print("my last words", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        """,
        3,
    )
    assert time.monotonic() - started < 10
    assert code == 1
    assert said.startswith("worker 1 was killed by SIGKILL (out of memory?). All")
    assert "It said last:\nmy last words" in said
    assert not any(is_alive(tmp_path, i) for i in range(3))


def test_the_run_is_told_why(launch, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "status.json").write_text('{"state": "running", "epoch": 3}')
    code, said = launch(
        f"""
        if index == 0:
            with open(os.path.join(os.environ["DLPARTS_LAUNCHER"], "run"), "w") as file:
                file.write({str(run)!r})
            note("ready")
            time.sleep(60)
        while not os.path.exists(os.path.join(sys.argv[3], "ready")):
            time.sleep(0.05)
        print("out of luck", flush=True)
        os.abort()
        """
    )
    assert code == 1
    assert said.endswith("Continue with the same command and --resume")
    status = json.loads((run / "status.json").read_text())
    message = "worker 1 was killed by SIGABRT; --resume continues"
    assert status == {"state": "failed", "epoch": 3, "message": message}
    assert (run / "workers" / "1.log").read_text() == "out of luck\n"


def test_an_error_gives_the_chief_time_to_tell_its_own(launch, tmp_path):
    code, said = launch(
        """
        if index == 0:
            time.sleep(1)
            note("report")
        sys.exit(1)
        """
    )
    assert code == 1
    assert (tmp_path / "report").exists()
    assert "worker 1 ended with exit code 1" in said


def test_a_worker_that_hangs_after_anothers_error(launch, tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "_SAME_ERROR_SECONDS", 0.5)
    code, said = launch("sys.exit(7) if index == 1 else time.sleep(60)")
    assert code == 1
    assert "worker 1 ended with exit code 7" in said
    assert not is_alive(tmp_path, 0)


def test_a_worker_that_does_not_end(launch, tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "_LAST_SECONDS", 0.5)
    code, said = launch("time.sleep(60 * index)")
    assert code == 1
    assert "worker 1 did not end 0.5 s after the others" in said


def test_a_wrong_input_is_told_once(launch):
    assert launch("sys.exit(2)") == (2, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_passed_on(launch, tmp_path, number):
    def send():
        while not all((tmp_path / f"ready{i}").exists() for i in range(2)):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    threading.Thread(target=send, daemon=True).start()
    code, said = launch(
        """
        def stop(*_):
            note("stopped")
            sys.exit(1)
        if index == 0:
            signal.signal(signal.SIGTERM, stop)
        note("ready" + str(index))
        time.sleep(60)
        """
    )
    assert (code, said) == (1, "")
    assert (tmp_path / "stopped").exists()
    assert not is_alive(tmp_path, 1)
    assert signal.getsignal(number) is before


def test_a_signal_that_was_lost_is_sent_again(launch, tmp_path, monkeypatch):
    def send():
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(launcher, "_AGAIN_SECONDS", 0.3)
    threading.Thread(target=send, daemon=True).start()
    code, _ = launch(
        """
        heard = []
        def stop(*_):
            heard.append(1)
            if len(heard) == 2:
                note("stopped")
                sys.exit(1)
        if index == 0:
            signal.signal(signal.SIGTERM, stop)
            note("ready")
        for _ in range(100):
            time.sleep(0.1)
        """
    )
    assert code == 1
    assert (tmp_path / "stopped").exists()


def test_a_second_signal_ends_a_chief_that_does_not_listen(launch, tmp_path):
    def send():
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=send, daemon=True).start()
    started = time.monotonic()
    code, _ = launch(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if index == 0:
            note("ready")
        time.sleep(60)
        """
    )
    assert code == 1
    assert time.monotonic() - started < 15
    assert not is_alive(tmp_path, 0)


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        ("raise ValueError('oh')", 1, "ValueError: oh"),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
        ("raise SystemExit(2)", 2, ""),
        ("raise SystemExit('no')", 1, ""),
        ("pass", 0, "at exit"),
        ("raise SystemExit(0)", 0, "at exit"),
    ],
)
def test_a_worker_that_fails_waits_for_nobody(ending, code, said):
    program = f"""
import atexit
from keras_dlparts.distribute import launched
atexit.register(print, "at exit")
with launched.ended_by_errors():
    {ending}
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TF_CONFIG": "{}"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == code
    assert said in run.stdout + run.stderr
    assert ("at exit" in run.stdout) == (code == 0)


@pytest.mark.slow
def test_workers_end_with_their_launcher(tmp_path):
    program = tmp_path / "python"
    program.write_text(
        WORKER
        + textwrap.dedent(
            """
            from keras_dlparts.distribute import launched
            launched.follow()
            note("ready" + str(index))
            time.sleep(60)
            """
        )
    )
    program.chmod(0o755)
    code = f"""
import sys
sys.executable = {str(program)!r}
from keras_dlparts.distribute.launcher import launch
launch([{str(tmp_path)!r}], 2, print)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not all((tmp_path / f"ready{i}").exists() for i in range(2)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    while any(is_alive(tmp_path, i) for i in range(2)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
