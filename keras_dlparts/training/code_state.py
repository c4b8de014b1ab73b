"""Which code a run was made with: the commit, the branch, and what was not committed.

Only local facts are read; remotes, whose addresses may hold passwords, are not. Where
git does not answer (it is missing, there is no repository, it takes too long) nothing
is noted: a run never fails for it.
"""

import hashlib
import os
import subprocess
from pathlib import Path

DIFF = "uncommitted.diff"
_MOST_DIFF = 200_000  # bytes; of a larger diff only the hash is noted
_MOST_NAMES = 20
_SECONDS = 10
# Settings of a repository that would let git start other programs, or write to it.
_SAFE = ("-c", "core.fsmonitor=false", "--no-optional-locks", "--no-pager")


def code_state(*directories: Path) -> tuple[dict, bytes]:
    """The state of the first of some directories that is in a git repository.

    Args:
        *directories: Where to look, the first first.

    Returns: (facts, diff). The facts are `commit`, `branch` (None where no branch is
        checked out), `changed`, whether tracked files differ from the commit,
        `diff_sha256` if they do, and `untracked`, the names of some files that git does
        not know. Both are empty where git has no answer.
    """
    for directory in directories:
        commit = _git(directory, "rev-parse", "--verify", "HEAD")
        if commit:
            break
    else:
        return {}, b""
    branch = _git(directory, "symbolic-ref", "--short", "-q", "HEAD")
    # No program that the repository names is started to make the diff.
    plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--binary")
    diff = _git(directory, "diff", "HEAD", *plain)
    names = _git(directory, "ls-files", "--others", "--exclude-standard", "--directory")
    if diff is None:
        return {}, b""
    facts = {
        "commit": commit.decode().strip(),
        "branch": branch.decode().strip() if branch else None,
        "changed": bool(diff),
    }
    if diff:
        facts["diff_sha256"] = hashlib.sha256(diff).hexdigest()
    untracked = (names or b"").decode(errors="replace").splitlines()
    if untracked:
        facts["untracked"] = untracked[:_MOST_NAMES]
    return facts, diff


def note(folder: Path, *directories: Path) -> dict:
    """The facts of `code_state`; a small diff is kept in the folder and named."""
    facts, diff = code_state(*directories)
    if diff and len(diff) <= _MOST_DIFF:
        from keras_dlparts.support.files import whole

        with whole(folder / DIFF) as partial:
            partial.write_bytes(diff)
        facts["diff"] = DIFF
    return facts


def _git(directory, *arguments):
    """What git writes, or None where it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *_SAFE, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
