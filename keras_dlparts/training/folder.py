"""A run's folder: how it is named, found again, and what is written into it first."""

import json
import os
import platform
import shlex
import sys
import time
from importlib import metadata
from pathlib import Path

import yaml

from keras_dlparts import backend
from keras_dlparts.support.files import write_json, write_text
from keras_dlparts.training import code_state

_PACKAGES = ("keras", "keras-dlparts", "numpy", "tensorflow", "tensorflow-cpu")
_PACKAGES += ("jax", "torch")
# What may differ between a run and the command that goes on with it.
_MAY_DIFFER = ("versions", "name")
_MAY_DIFFER_IN_FIT = ("epochs", "checkpoint_every")


def create(out, experiment, resolved):
    """A new folder `<out>/<name>-<time>` with the configs and the environment."""
    stem = f"{experiment.settings.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    for count in range(1, 1000):
        folder = Path(out) / (stem if count == 1 else f"{stem}-{count}")
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    given = experiment.given
    if isinstance(given, Path):
        text, suffix = given.read_text(encoding="utf-8-sig"), given.suffix
    else:
        text, suffix = json.dumps(given, indent=1) + "\n", ".json"
    fill(folder, text, suffix, resolved, given)
    return folder


def fill(folder, text, suffix, resolved, given=None):
    """Write the configs and the environment into a run's folder.

    The state of the code is that of the repository that holds `given`, the config's
    file, or else the working directory.
    """
    beside = [given.parent] if isinstance(given, Path) else []
    facts = environment(resolved["backend"])
    if git := code_state.note(folder, *beside, Path.cwd()):
        facts["git"] = git
    write_text(folder / f"config{suffix}", text)
    write_text(folder / "resolved.yaml", yaml.safe_dump(resolved, sort_keys=False))
    write_json(folder / "environment.json", facts)


def environment(running):
    """Versions and machine, so that a figure can be traced."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "backend": running,
        "platform": platform.platform(),
        "versions": {
            name: version for name in _PACKAGES if (version := _version(name))
        },
        "cpu_count": os.cpu_count(),
        "memory_gb": round(pages / 2**30, 1),
        "accelerators": backend.accelerators(),
    }


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def latest(out, resolved):
    """The newest run of this resolved config under `out`, or None.

    The number of epochs may differ, so that a run can be made longer, and how often
    a checkpoint is written. Where no such run was on these devices, it is the newest
    on others that did not end: it may have lost them.
    """
    wanted, moved = comparable(resolved), None
    for folder in sorted(Path(out).glob("*/"), key=_age):
        there = read_resolved(folder)
        if there is None:
            continue
        found = comparable(there)
        if found == wanted:
            return folder
        same = {**found, "distribute": wanted["distribute"]} == wanted
        if same and moved is None and not _is_done(folder):
            moved = folder
    return moved


def read_resolved(folder):
    """The resolved config that a run's folder holds; None if it is no run's folder."""
    try:
        text = (folder / "resolved.yaml").read_text(encoding="utf-8")
        found = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        return None  # it is missing, no text, or no YAML
    is_ours = isinstance(found, dict) and all(
        isinstance(found.get(section), dict) for section in ("fit", "distribute")
    )
    return found if is_ours else None


def _is_done(folder):
    try:
        text = (folder / "status.json").read_text(encoding="utf-8")
        return json.loads(text)["state"] == "done"
    except (OSError, ValueError, TypeError, KeyError):
        return False  # a kill came before it was written, or it is no run's


def _age(folder):
    """How old a run is, for sorting; what is no run is older than all."""
    try:
        return -(folder / "resolved.yaml").stat().st_mtime
    except OSError:
        return 0.0


def comparable(resolved):
    """What of a resolved config a run must share to be gone on with."""
    kept = {k: v for k, v in resolved.items() if k not in _MAY_DIFFER}
    fit = {k: v for k, v in kept["fit"].items() if k not in _MAY_DIFFER_IN_FIT}
    return kept | {"fit": fit}
