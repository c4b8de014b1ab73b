"""A lock on a folder: of the processes that want to write there, one does.

The lock is the kernel's, on a file in the folder. It ends with the process that holds
it, however that process ends, so what a kill leaves behind is only a file, and the next
process takes it over. It holds between the processes of one machine (Linux and macOS),
and between machines where the file system carries POSIX record locks from one to the
other, as NFS, Lustre and GPFS do unless they are mounted without. A file system that
has no locks at all is told, and then nothing is promised.
"""

import contextlib
import errno
import fcntl
import os
import re
import socket
import time

_HELD = (errno.EACCES, errno.EAGAIN)
_NONE_THERE = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


class Locked(Exception):
    """Another process holds the lock; the message says which, as far as is known."""


@contextlib.contextmanager
def lock(path, say):
    """Hold the lock that the file `path` stands for.

    Args:
        path: where the lock's file is, or is made; it is removed at the end.
        say: called with a line where the file system has no locks.

    Raises:
        Locked: another process holds it.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.lock")
    >>> with lock(path, print):
    ...     path.read_text().startswith(f"process {os.getpid()} on ")
    True
    >>> path.exists()
    False
    """
    file = _opened(path, say)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while the lock is held: it is this one's
        file.close()  # which ends the lock


def owner_is_gone(path):
    """Whether the process that a lock's file names has ended, as far as can be seen.

    The file is read only: trying the lock would keep it from a process that starts.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.lock")
    >>> with lock(path, print):
    ...     owner_is_gone(path)
    False
    >>> owner_is_gone(path)
    True
    """
    try:
        owner = re.match(r"process (\d+) on (\S+) since", path.read_text("utf-8"))
    except FileNotFoundError:
        return True  # its owner removed it
    if owner is None or owner[2] != socket.gethostname():
        return False  # another machine's process cannot be seen from here
    try:
        os.kill(int(owner[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is there, and another user's
        return False
    return False


def _opened(path, say):
    """The lock's file, open, with the lock on it."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            # A child made by fork does not inherit this kind, as it does flock's: a
            # process that was killed holds nothing through one that it left behind.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NONE_THERE:
                say(
                    f"{path.parent} is on a file system without locks: see that no "
                    "other process writes there"
                )
                return file
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            if error.errno in _HELD:
                raise Locked(owner) from None
            raise
        if _is_at(file, path):
            break
        file.close()  # its owner ended, and removed it, between the two calls
    file.truncate(0)
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {started}\n")
    file.flush()
    return file


def _is_at(file, path):
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
