"""Worker processes of this machine: started, watched, restarted under their ids."""

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from keras_dlparts.support.processes import environment

_GIVE_UP = 3  # starts in a row without finishing a trial
_STOP_SECONDS = 10


@dataclass
class Member:
    """A worker: its id, and its process while it has one. `vain` counts its starts in a
    row that finished no trial."""

    id: str
    number: int
    process: subprocess.Popen | None = None
    started: float = 0.0
    vain: int = 0


class Crew:
    """Starts workers and tells of those that ended.

    Args:
        ids: the workers' ids, kept over restarts.
        folder: the search's folder; what the workers say is kept in it.
        task: what each is told, besides its id.
    """

    def __init__(self, ids, folder, task):
        self.members = [Member(name, n) for n, name in enumerate(ids)]
        self.logs, self.task = folder / "workers", task
        self.shares = [environment(n, len(ids)) for n in range(len(ids))]

    def __enter__(self):
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exception):
        self.stop()

    def log(self, member):
        return self.logs / f"{member.id}.log"

    def start(self, member):
        with self.log(member).open("ab") as log:
            member.process = subprocess.Popen(
                [sys.executable, "-m", "keras_dlparts.searching.worker"],
                stdin=subprocess.PIPE,
                # With a buffer, closing the pipe to a dead process would write again.
                bufsize=0,
                stdout=log,
                stderr=log,
                # So that Ctrl-C reaches the chief only, which then stops its workers.
                start_new_session=True,
                env={**os.environ, **self.shares[member.number]},
            )
        member.started = time.monotonic()
        told = json.dumps({**self.task, "id": member.id}) + "\n"
        with contextlib.suppress(BrokenPipeError):  # it has ended, as `ended` will say
            member.process.stdin.write(told.encode())

    def ended(self):
        """[(member, exit code)] of the processes that ended since the last call."""
        over = []
        for member in self.members:
            code = member.process.poll() if member.process else None
            if code is not None:
                member.process.stdin.close()
                member.process = None
                over.append((member, code))
        return over

    def kill(self, member):
        member.process.kill()

    def is_given_up(self, member):
        return member.vain >= _GIVE_UP

    def running(self):
        return [member for member in self.members if member.process]

    def stop(self):
        """End all workers: by SIGTERM, and by SIGKILL those that take too long."""
        running = self.running()
        for member in running:
            member.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for member in running:
            try:
                member.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()
            member.process.stdin.close()
            member.process = None
