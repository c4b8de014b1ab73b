"""Files that are written whole or not at all, and what a full disk leads to.

A file is written under another name in the same folder, `.partial-<process>-<name>`,
and then renamed: a reader finds the old file or the new one. What a killed process
leaves under such a name is removed when its run is gone on with.
"""

import contextlib
import errno
import json
import os
import zipfile

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MARK = ".partial-"


class DiskFull(OSError):
    """There was no room for a file; what it was to replace is as it was."""


@contextlib.contextmanager
def room(path):
    """Turn any error that means "no room" into a DiskFull that names the file."""
    try:
        yield
    except DiskFull:  # which names the file already
        raise
    except Exception as error:
        cause = error
        while cause is not None:
            # HDF5 raises an error of its own, with the system's number in its text.
            if getattr(cause, "errno", None) in _NO_ROOM or any(
                f"errno = {number}," in str(cause) for number in _NO_ROOM
            ):
                reason = os.strerror(getattr(cause, "errno", None) or errno.ENOSPC)
                raise DiskFull(f"no room to write {path}: {reason}") from error
            cause = cause.__cause__ or cause.__context__
        raise


@contextlib.contextmanager
def whole(path):
    """A name to write to, which becomes `path` once all is written.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "a.txt")
    >>> with whole(path) as partial:
    ...     _ = partial.write_text("all of it")
    >>> path.read_text(), len([*path.parent.iterdir()])
    ('all of it', 1)
    """
    partial = path.with_name(f"{MARK}{os.getpid()}-{path.name}")
    try:
        with room(path):
            yield partial
            os.replace(partial, path)
    except FileNotFoundError as error:
        if path.parent.is_dir():
            raise
        raise FileNotFoundError(
            f"{path} cannot be written, since its folder is gone. Was it removed or "
            "renamed meanwhile?"
        ) from error
    finally:
        partial.unlink(missing_ok=True)  # a full disk needs its room back


def write_text(path, text):
    """Write a text file whole or not at all."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path, value):
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_arrays(path, arrays):
    """Write an `.npz` whole or not at all; it is on the disk when this returns."""
    import numpy as np

    with whole(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


def read_arrays(path):
    """What `write_arrays` wrote, or None where it is missing, cut short or damaged."""
    import numpy as np

    try:
        # Opened here, because numpy does not close a file that it finds damaged.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, OSError, ValueError, EOFError):
        return None


def sweep(folder):
    """Remove what a killed process left half written in a folder."""
    for path in folder.glob(f"{MARK}*"):
        path.unlink(missing_ok=True)
