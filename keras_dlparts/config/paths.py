"""The paths in a config: relative to its file, and written in full from there on.

An argument is a path where its annotation names `os.PathLike` or `pathlib.Path`, as in
`path: str | os.PathLike`. A config given as a dict has no file; there the working
directory takes its place. A run's resolved config has the whole path, so the run can be
looked at, and gone on with, from anywhere.
"""

import os
from pathlib import Path


def whole_path(document, text, path):
    """The absolute path that a text stands for, which is put at `path` in its place.

    A file that is only there from the working directory is noted as a problem.
    Texts that are no relative paths stay as they are: absolute ones, those of another
    scheme (`s3://...`) and the empty one.
    """
    given = os.path.expanduser(text)
    if not text or "://" in text or os.path.isabs(given):
        return given
    found = Path(document.folder, given).absolute()
    here = Path(given).absolute()
    if found != here and not os.path.exists(found) and os.path.exists(here):
        nearer = os.path.relpath(here, document.folder)
        message = (
            f"a path is relative to the folder of the config's file, and there is no "
            f"{found}. Received: {text!r}, which is there from the working directory. "
            f"Write {nearer!r}, or the whole path"
        )
        if os.path.exists(Path(document.folder, "resolved.yaml")):
            message += "; resolved.yaml, beside this copy of the config, has it"
        document.problem(path, message)
    at = document.values
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = str(found)
    return str(found)
