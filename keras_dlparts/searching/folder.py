"""A search's folder: one process at a time searches in it, for one config.

search.json     the config with its space, the settings, the machine, the state
search.lock     held by the one process that searches here
oracle.json, tuner0.json, trial_*/trial.json            KerasTuner's own
trial_*/        a run directory each
workers/        what each worker process said
best/config.yaml, report.html, tensorboard/
"""

import contextlib
import difflib
import fcntl
import json
import os
from pathlib import Path

import yaml

from keras_dlparts.searching.errors import refuse, told_if_damaged
from keras_dlparts.support.files import MARK, sweep, write_json

# Of the settings, what may change when a search goes on.
_MAY_DIFFER = ("trials", "workers", "isolate", "retries")


class Folder:
    """The folder of a search, locked while this object is open."""

    def __init__(self, path):
        self.path = Path(path)

    def __enter__(self):
        self.path.mkdir(parents=True, exist_ok=True)
        self.lock = (self.path / "search.lock").open("a+")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.lock.seek(0)
            owner = self.lock.read().strip() or "another process"
            self.lock.close()
            refuse(
                f"{self.path}: {owner} is searching here. Wait for it, or give "
                "another folder with --out"
            )
        self.lock.seek(0)
        self.lock.truncate()
        self.lock.write(f"process {os.getpid()}\n")
        self.lock.flush()
        return self

    def __exit__(self, *exception):
        self.lock.close()

    def abandon(self):
        """Remove the folder, unless it holds other things; nothing was begun in it."""
        (self.path / "search.lock").unlink()
        with contextlib.suppress(OSError):  # it is not empty
            self.path.rmdir()

    def holds_search(self):
        return (self.path / "search.json").exists()

    def check_free(self):
        """Refuse a folder with a search in it, or with other things."""
        if self.holds_search():
            refuse(
                f"{self.path} holds a search. Add --resume to go on with it, or give "
                "another folder with --out"
            )
        # A kill may have come before the first search.json was whole.
        ours = (MARK, "search.lock")
        if not all(p.name.startswith(ours) for p in self.path.iterdir()):
            refuse(
                f"{self.path} is not empty and holds no search; give another folder "
                "with --out"
            )
        sweep(self.path)

    def check_same(self, config, settings):
        """Refuse to go on with a search of another config."""
        asked = read(self.path)
        before = _asked_text(asked["config"], asked["settings"])
        now = _asked_text(config, settings.model_dump())
        if before != now:
            lines = difflib.unified_diff(before, now, "the search", "now", n=1)
            refuse(
                f"{self.path} is a search of another config:\n"
                + "\n".join(line.rstrip("\n") for line in lines)
                + "\nGive the config as it was, or --fork to search anew in a folder "
                "beside it, taking over the finished trials that fit"
            )

    def check_data(self, now):
        """Refuse to go on with other data; `now` is what is noted of the data."""
        changed = changed_data(read(self.path), {"data": now})
        if changed:
            refuse(
                f"{self.path} is a search of other data: {changed}. Put the data back "
                "as it was, or --fork to search anew in a folder beside it"
            )

    def write(self, **values):
        path = self.path / "search.json"
        known = read(self.path) if path.exists() else {}
        write_json(path, {**known, **values})


def home_of(config):
    """The search's folder that has this config as its copy; None for another config."""
    if not isinstance(config, str | os.PathLike):
        return None
    path = Path(config)
    is_copy = path.stem == "config" and (path.parent / "search.json").is_file()
    return path.parent if is_copy else None


def read(path):
    """The contents of search.json."""
    path = Path(path) / "search.json"
    if not path.is_file():
        raise FileNotFoundError(
            "a search is a folder that `dlparts search` or `search()` wrote. "
            f"Received: {str(path.parent)!r}, which has no search.json"
        )
    with told_if_damaged(path):
        asked = json.loads(path.read_text(encoding="utf-8"))
        asked["config"].items(), asked["settings"].items()  # else it is another's
    return asked


def changed_data(before, now):
    """What differs in the data of two searches, in words; None where nothing does.

    Args:
        before, now: what search.json says; without a note of the data it is not known.
    """
    from keras_dlparts.training.same_data import difference

    if before.get("data") is None:
        return None
    return difference(before["data"], now["data"])


def _asked_text(config, settings):
    """What must be the same for a search to go on, as lines to compare."""
    plain = {k: v for k, v in config.items() if k not in ("search", "name")}
    kept = {k: v for k, v in settings.items() if k not in _MAY_DIFFER}
    text = yaml.safe_dump({**plain, "search": kept}, sort_keys=True)
    return text.splitlines(keepends=True)
