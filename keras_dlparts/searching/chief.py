"""The chief of several workers: it keeps the oracle, watches and restarts the crew.

The chief never waits for a worker: several times a second it looks at all of them:

    a worker's process ends in a trial     it is restarted under its id and goes on with
                                           the trial, or, after `retries`, fails it
    a worker is silent for too long        it is killed if this machine runs it; else
                                           its trial is given to another worker
    a worker cannot even start             given up after three times
    a worker finds no room on the disk     the search ends; --resume finishes the trial
"""

import socket
import time

from keras_dlparts.searching.channel import LOOPBACK, Server, fingerprint
from keras_dlparts.searching.crew import Crew
from keras_dlparts.searching.errors import SearchFailed, refuse
from keras_dlparts.searching.worker import CHIEF_GONE, FULL, ONE_DONE, OVER, WRONG
from keras_dlparts.support import processes
from keras_dlparts.support.files import DiskFull

SILENCE = 120.0  # seconds after which a worker counts as lost
_GOODBYE = 3.0
_TICK = 0.1


def lead(path, request, settings, oracle, address, table):
    """Run a search with worker processes until it is over."""
    mark = fingerprint(request.config, settings)
    ids = [f"tuner{n}" for n in range(settings.workers)]
    with Server(oracle, address, mark) as server:
        if address != LOOPBACK:
            table.say(
                f"workers of other machines join by: dlparts search CONFIG --join "
                f"{server.host}:{server.port}\n"
                "KerasTuner's channel has no authentication: whoever reaches this "
                "address can take part. It belongs on a private network."
            )
        host = LOOPBACK if server.host in ("0.0.0.0", "") else server.host
        task = {
            "host": host,
            "port": server.port,
            "config": request.config,
            "relative_to": request.folder,
            "settings": settings.model_dump(),
            "folder": str(path),
            "once": settings.isolate,
        }
        with Crew(ids, path, task) as crew:
            watch = _Watch(oracle, settings, server, crew, table)
            while not oracle.is_over():
                watch.look()
                if watch.is_hopeless():
                    raise SearchFailed(watch.last_words())
                time.sleep(_TICK)
            watch.say_goodbye()
        watch.check_fatal()


class _Watch:
    """What the chief does at each look."""

    def __init__(self, oracle, settings, server, crew, table):
        self.oracle, self.settings, self.server = oracle, settings, server
        self.crew, self.table = crew, table
        self.deaths = {}  # {trial id: how often its process died}

    def look(self):
        for member, code in self.crew.ended():
            self.note_end(member, code)
        self.check_fatal()
        self.find_silent()
        for member in self.crew.members:
            idle = member.process is None and not self.crew.is_given_up(member)
            if idle and self.oracle.has_more():
                self.server.heard[member.id] = time.monotonic()
                self.crew.start(member)
        self.table.update()

    def note_end(self, member, code):
        """Decide what becomes of a worker whose process ended, and of its trial."""
        if code == FULL:
            raise DiskFull(
                f"worker {member.id} {ending(code)}; see {self.crew.log(member)}. Make "
                "room and go on with --resume"
            )
        trial = self.oracle.ongoing_trials.get(member.id)
        if trial is None:
            clean = code in (OVER, ONE_DONE)
            member.vain = 0 if clean else member.vain + 1
            return
        member.vain = 0
        died = self.deaths[trial.trial_id] = self.deaths.get(trial.trial_id, 0) + 1
        reason = f"its process {ending(code)}"
        if died <= self.settings.retries:
            self.table.say(f"trial {trial.trial_id}: {reason}; tried again")
            return
        times = f", {died} times" if died > 1 else ""
        reason += f"{times}; see {self.crew.log(member)}"
        self.oracle.finish(trial, "FAILED", reason, reason=reason, worker=member.id)

    def check_fatal(self):
        for notes in [*self.oracle.notes.values()]:
            if "fatal" in notes:
                refuse(notes["fatal"])

    def find_silent(self):
        ours = {member.id: member for member in self.crew.members}
        for worker in [*self.oracle.ongoing_trials]:
            heard = self.server.heard.get(worker)
            if heard is None or time.monotonic() - heard < SILENCE:
                continue
            self.server.heard[worker] = time.monotonic()
            if worker in ours:
                if ours[worker].process is not None:
                    self.crew.kill(ours[worker])
                continue
            trial = self.oracle.release(worker)
            self.table.say(
                f"worker {worker} is silent; its trial {trial.trial_id} "
                "is given to another"
            )

    def say_goodbye(self):
        """Wait a little, so that workers of other machines learn that it is over."""
        ours = {member.id for member in self.crew.members}
        deadline = time.monotonic() + _GOODBYE
        while self.oracle.tuner_ids - ours and time.monotonic() < deadline:
            time.sleep(_TICK)

    def is_hopeless(self):
        """Whether no worker is left that could go on."""
        if not self.crew.members:  # only those of other machines, which may still come
            return False
        given_up = all(map(self.crew.is_given_up, self.crew.members))
        return given_up and not self.oracle.ongoing_trials

    def last_words(self):
        member = self.crew.members[0]
        text = self.crew.log(member).read_text(errors="replace").strip()
        said = "\n".join(text.splitlines()[-15:])
        return f"the workers do not start; {self.crew.log(member)} ends with:\n{said}"


def ending(code):
    """How a worker's process ended, in words."""
    known = {CHIEF_GONE: "lost the chief", WRONG: "refused the config"}
    known[FULL] = "found no room on the disk"
    return known.get(code) or processes.ending(code)


def join(path, request, settings, address, say):
    """Lend workers of this machine to a chief on another, until it is done.

    Args:
        path: where the trials of these workers go; best the chief's own folder, where
            the machines share one.
        request: the `Request`, with the config and its space.
        settings: its `search:` section, resolved.
        address: `HOST:PORT` of the chief.
        say: called with each line of news.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        refuse(f"--join is HOST:PORT, as the chief prints it. Received: {address!r}")
    # Two calls on one machine need different ids.
    stamp = format(time.time_ns() % 36**6, "x")
    ids = [f"{socket.gethostname()}-{stamp}-{n}" for n in range(settings.workers or 1)]
    task = {
        "host": host,
        "port": int(port),
        "config": request.config,
        "relative_to": request.folder,
        "settings": settings.model_dump(),
        "folder": str(path),
        "once": settings.isolate,
    }
    path.mkdir(parents=True, exist_ok=True)
    with Crew(ids, path, task) as crew:
        for member in crew.members:
            crew.start(member)
        while crew.running():
            for member, code in crew.ended():
                if code == OVER:
                    continue
                if code in (CHIEF_GONE, WRONG, FULL):
                    said = crew.log(member).read_text(errors="replace").strip()
                    raise SearchFailed(said.splitlines()[-1] if said else ending(code))
                if code != ONE_DONE:
                    say(f"worker {member.id} {ending(code)}; started again")
                    member.vain += 1
                if not crew.is_given_up(member):
                    crew.start(member)
            time.sleep(_TICK)
