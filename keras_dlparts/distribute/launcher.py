"""Start the workers of a run on this machine, watch them, and end them together.

Every worker runs the same command, told by `TF_CONFIG` who it is. The chief, worker 0,
speaks to the terminal; what the others say is kept in `workers/` in the run's folder.
A worker that fails ends all, for they cannot go on without it:

    killed, or crashed      the others are killed at once: they wait in a call that
                            notices only after some ten seconds
    ended with a code       the others may find the same error, and the chief write it
                            down: they are given some seconds for that
    Ctrl-C, SIGTERM, ...    passed to the chief, which notes where it stopped; then the
                            others are ended

A worker ends when its launcher is gone, whatever became of it.
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
import threading
import time
import traceback
from pathlib import Path

from keras_dlparts.support.files import write_json
from keras_dlparts.support.processes import ending, environment

# Where a worker finds the launcher's folder.
_FOLDER = "DLPARTS_LAUNCHER"
_LOOK_SECONDS = 0.1
_STOP_SECONDS = 30  # for a chief to end after a signal, its report included
_AGAIN_SECONDS = 5
_SAME_ERROR_SECONDS = 20
_LAST_SECONDS = 120  # for the others, when one is done


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
            _FOLDER: str(self.folder),
        }
        if {"grpc_proxy", "http_proxy", "https_proxy"} & os.environ.keys():
            told["no_grpc_proxy"] = "127.0.0.1"  # a proxy is for the web
        with contextlib.ExitStack() as stack:
            log = None  # the chief's goes where the launcher's goes
            if index:
                log = stack.enter_context((self.folder / f"{index}.log").open("wb"))
            return subprocess.Popen(
                [sys.executable, "-m", "keras_dlparts", *self.arguments],
                # Closed when the launcher ends, which `follow` sees.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the launcher, which passes it on.
                start_new_session=True,
                env={**os.environ, **environment(index, self.count), **told},
            )

    def _look(self):
        """Note who ended; returns whether all did."""
        for index, process in enumerate(self.processes):
            code = process.poll()
            if code is not None and index not in self.codes:
                self.codes[index] = code
        # Of several that ended together one that was killed is the cause.
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
            # Again, for Python drops the exception of a signal that comes while a
            # library calls back; but not when it has begun to note where it stopped.
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
    """Note the signals that would end this process, instead of ending."""
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
    """Say in the run's folder why it ended, where nobody did."""
    path = run / "status.json"
    with contextlib.suppress(OSError, ValueError):  # killed before it wrote any
        status = json.loads(path.read_text())
        if status["state"] == "running":
            status |= {"state": "stopped" if stopped else "failed", "message": message}
            write_json(path, status)


def _tail(folder, index):
    log = folder / f"{index}.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    said = [line for line in lines if "absl::InitializeLog" not in line][-10:]
    return "\n".join(["It said last:", *said]) if said else "Its messages are above."


def folder():
    """The launcher's folder, deleted when it ends; None if nothing launched this."""
    return os.environ.get(_FOLDER)


def follow():
    """In a worker: end when the launcher is gone, even if nobody could tell."""

    def watch():
        os.read(0, 1)  # nothing is ever written
        os._exit(1)

    if folder():
        threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def ended_by_errors():
    """In one worker of several: end at once where this context ends by an error.

    Left to itself Python would wait at its end, where JAX waits for all workers.
    """
    try:
        yield
    except BaseException as error:
        code = error.code if isinstance(error, SystemExit) else 1
        if not code or not any(
            map(os.environ.get, ("TF_CONFIG", "SLURM_STEP_NUM_TASKS"))
        ):
            raise
        if not isinstance(error, SystemExit):
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else 1)


def tell_run(path):
    """In the chief: tell the launcher which folder the run has."""
    if folder():
        Path(folder(), "run").write_text(str(Path(path).absolute()))
