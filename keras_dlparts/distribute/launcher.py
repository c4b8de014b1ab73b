"""Start the workers of a run on this machine, watch them, and end them together.

Every worker runs the same command, told by `TF_CONFIG` who it is. The chief, worker 0,
speaks to the terminal; what the others say is kept in `workers/` in the run's folder.
A worker that fails ends all, for they cannot go on without it:

    killed, or crashed      the others are killed at once: they wait in a call that
                            would notice only after some ten seconds
    ended with a code       the others are given some seconds, in which they may meet
                            the same error and the chief may write it down
    Ctrl-C, SIGTERM, ...    passed to the chief, which notes where it stopped; then the
                            others are ended

A worker ends when its launcher is gone, whatever became of it; `launched.py` is its
side of this.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from keras_dlparts.distribute.launched import FOLDER
from keras_dlparts.support.files import write_json
from keras_dlparts.support.processes import ending, environment

_LOOK_SECONDS = 0.1
_STOP_SECONDS = 30  # that a chief has to end after a signal, its report included
_AGAIN_SECONDS = 5  # between two signals to the chief
_SAME_ERROR_SECONDS = 20  # that the chief has to meet the error of another worker
_LAST_SECONDS = 120  # that the others have to end when one has ended well


def launch(arguments, workers, say):
    """Run `dlparts` with these arguments in several workers of this machine.

    Args:
        arguments: list of texts, the command's arguments, the same for all.
        workers: Integer, how many.
        say: called with each line of news.

    Returns: the exit code: 0 if all ended well, 2 if the input is wrong, else 1.
    """
    asked = []
    with tempfile.TemporaryDirectory(prefix="dlparts-workers-") as name:
        kept = Path(name)
        with _signals(asked.append), _Crew(arguments, workers, kept) as crew:
            code, message = crew.watch(asked)
        run = _run(kept)
        if run is not None:
            _keep_logs(kept, run)
            if message:
                _note(run, f"{message}; --resume continues", bool(asked))
        if message and not asked:
            say(f"{message}. All workers were stopped.")
            say(_tail(kept, crew.first))
            if run is not None:
                say("Continue with the same command and --resume")
    return code


class _Crew:
    """The workers' processes."""

    def __init__(self, arguments, count, folder):
        self.arguments, self.count, self.folder = arguments, count, folder
        self.processes, self.codes, self.first = [], {}, None

    def __enter__(self):
        with contextlib.ExitStack() as held:
            sockets = [held.enter_context(_reserved()) for _ in range(self.count)]
            addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
        for index in range(self.count):
            self.processes.append(self._started(index, addresses))
        return self

    def __exit__(self, *exception):
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdin.close()

    def _started(self, index, addresses):
        task = {"type": "worker", "index": index}
        told = {
            "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task}),
            FOLDER: str(self.folder),
        }
        if {"grpc_proxy", "http_proxy", "https_proxy"} & os.environ.keys():
            # gRPC would go through the proxy that is set for the web.
            told["no_grpc_proxy"] = "127.0.0.1"
        with contextlib.ExitStack() as stack:
            log = None  # the chief writes to where the launcher does
            if index:
                log = stack.enter_context((self.folder / f"{index}.log").open("wb"))
            return subprocess.Popen(
                [sys.executable, "-m", "keras_dlparts", *self.arguments],
                # Closed when the launcher ends, which `launched.follow` sees.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # So that Ctrl-C reaches the launcher only, which passes it on.
                start_new_session=True,
                env={**os.environ, **environment(index, self.count), **told},
            )

    def _look(self):
        """Note who ended; returns whether all did."""
        for index, process in enumerate(self.processes):
            code = process.poll()
            if code is not None and index not in self.codes:
                self.codes[index] = code
        # Of several that ended at once the one that was killed is the cause; its
        # code is negative and comes first.
        failed = sorted((c, i) for i, c in self.codes.items() if c)
        if self.first is None and failed:
            self.first = failed[0][1]
        return len(self.codes) == self.count

    def _wait(self, seconds, over):
        deadline = time.monotonic() + seconds
        while not (over() or self._look()) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)

    def watch(self, asked):
        """(exit code, what went wrong if something did), when all have ended."""
        while not (self._look() or self.codes or asked):
            time.sleep(_LOOK_SECONDS)
        if self.first is None and not asked:
            self._wait(_LAST_SECONDS, lambda: asked or self.first is not None)
        if asked:
            self._pass_on(asked)
            return 1, f"stopped by {signal.Signals(asked[0]).name}"
        if self.first is None:
            late = [i for i in range(self.count) if i not in self.codes]
            if not late:
                return 0, ""
            self.first = late[0]
            return 1, f"worker {late[0]} did not end {_LAST_SECONDS} s after the others"
        code = self.codes[self.first]
        if code > 0:
            self._wait(_SAME_ERROR_SECONDS, lambda: asked or 0 in self.codes)
        if code == 2 and self.codes.get(0) == 2:  # the chief has said what is wrong
            return 2, ""
        return 1, f"worker {self.first} {ending(code)}"

    def _pass_on(self, asked):
        """Let the chief note that it is stopped; a second signal ends it at once."""
        chief = self.processes[0]
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline and not (len(asked) > 1 or 0 in self.codes):
            # Sent repeatedly, because Python drops the exception of a signal that
            # arrives while a library calls back into Python; but not once the chief
            # has begun to note where it stopped.
            if chief.poll() is None and _state(_run(self.folder)) in (None, "running"):
                chief.send_signal(signal.SIGTERM)
            self._wait(_AGAIN_SECONDS, lambda: len(asked) > 1 or 0 in self.codes)


def _reserved():
    """A socket on a free port of the loopback address."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


@contextlib.contextmanager
def _signals(note):
    """Call `note` with the number of each signal that would end this process."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {n: signal.signal(n, lambda number, _: note(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(folder):
    """The run's folder, if the chief has told it."""
    told = folder / "run"
    return Path(told.read_text()) if told.exists() else None


def _keep_logs(folder, run):
    kept = run / "workers"
    kept.mkdir(exist_ok=True)
    for log in folder.glob("*.log"):
        with log.open("rb") as said, (kept / log.name).open("ab") as file:
            shutil.copyfileobj(said, file)


def _state(run):
    """What a run's status says it does, or None."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return run and json.loads((run / "status.json").read_text())["state"]
    return None


def _note(run, message, stopped):
    """Write why the run ended into its folder, unless a worker has done so."""
    path = run / "status.json"
    with contextlib.suppress(OSError, ValueError):  # there may be no status yet
        status = json.loads(path.read_text())
        if status["state"] == "running":
            status |= {"state": "stopped" if stopped else "failed", "message": message}
            write_json(path, status)


def _tail(folder, index):
    log = folder / f"{index}.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    said = [line for line in lines if "absl::InitializeLog" not in line][-10:]
    return "\n".join(["It said last:", *said]) if said else "Its messages are above."
