"""Real processes of `dlparts`: started, waited for, killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DLPARTS = [sys.executable, "-m", "keras_dlparts"]


def start(*arguments, **options):
    """`dlparts` with these arguments, as a process whose output is text in pipes.

    Args:
        *arguments: What follows the command's name.
        **options: Of `subprocess.Popen`.
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    options.setdefault("env", {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"})
    return subprocess.Popen([*DLPARTS, *map(str, arguments)], text=True, **options)


def until(condition, seconds=120, process=None, every=0.02):
    """What `condition()` gives, once that is true; files may not be written yet.

    Args:
        condition: A function without arguments.
        seconds: How long to wait for it.
        process: A process that must not end meanwhile.
        every: Seconds between two looks.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except (OSError, ValueError, KeyError, IndexError):
            pass  # it looked at a file that is not there, or not whole yet
        if process is not None and process.poll() is not None:
            raise AssertionError(f"it ended too early: {process.communicate()}")
        time.sleep(every)
    raise TimeoutError(condition)


def kill(process):
    """Kill a process as the kernel would; nothing of it runs after this."""
    process.kill()
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said


def command_line(pid):
    """What a process was started with; empty once it has ended, waited for or not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def children(pid, named=b""):
    """The processes that a process started, in that order.

    Args:
        pid: The parent's number.
        named: Bytes that their command lines contain.
    """
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split() if named in command_line(child)]


def gone(pids):
    """Whether all of these processes have ended."""
    return not any(map(command_line, pids))
