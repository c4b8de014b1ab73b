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
from keras_dlparts.config.errors import ConfigError, Problem, path_text, shown
from keras_dlparts.config.kept import save_initial
from keras_dlparts.config.objects import INITIAL, unnumbered
from keras_dlparts.support.files import MARK, write_json, write_text
from keras_dlparts.training import code_state

_PACKAGES = ("keras", "keras-dlparts", "numpy", "tensorflow", "tensorflow-cpu")
_PACKAGES += ("jax", "torch")
# What may differ between a run and the command that goes on with it.
_MAY_DIFFER = ("versions", "name")
_MAY_DIFFER_IN_FIT = ("epochs", "checkpoint_every")
# What a kill may leave in a folder before its resolved config is there.
_BEFORE_ALL_ELSE = (MARK, "config.", "initial.", "run.lock", "uncommitted.")


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
    _begin(folder, experiment, resolved)
    return folder


def own(directory, experiment, resolved, resume, say):
    """The run's folder where it was named: a new one, or the one to go on with."""
    folder = Path(directory)
    there = read_resolved(folder)
    if there is None:
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        foreign = [name for name in names if not name.startswith(_BEFORE_ALL_ELSE)]
        if foreign or folder.is_file():
            _refuse(f"{folder} holds no run. Give a directory that is new, or empty")
        folder.mkdir(parents=True, exist_ok=True)
        _begin(folder, experiment, resolved)
    elif not resume:
        _refuse(
            f"{folder} holds a run already. Go on with it by resume=True, or give "
            "another directory"
        )
    else:
        _compare(folder, comparable(there), comparable(resolved), say)
    return folder


def _compare(folder, before, now, say):
    """Say what is not as it was when the run began; refuse what makes another run."""
    changed = [*differences(before, now)]
    wrong = [words for path, words in changed if not _may_change(path)]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        _refuse(
            f"{folder} holds a run of something else: {'; '.join(wrong[:3])}{more}. "
            "Give another directory, or what the run began with"
        )
    for _, words in changed:
        say(f"{words}; the run goes on from its checkpoint")


def _may_change(path):
    """Whether a run goes on though this value of its resolved config is another one.

    A checkpoint brings back the state of callbacks and of the optimizer, whatever they
    were made with; but each its own, so their number and their classes stay.
    """
    if path[0] == "distribute":
        return True
    inside = {"optimizer": path[1:], "callbacks": path[2:]}.get(path[0], ())
    return inside not in ((), ("object",), ("use",))


def differences(before, now, path=()):
    """(path, words) of each value in which two resolved configs differ.

    >>> [*differences({"seed": 0, "fit": [1]}, {"seed": 1, "fit": [1]})]
    [(('seed',), 'seed was 0, and is 1 now')]
    """
    if isinstance(before, dict) and isinstance(now, dict):
        steps = dict.fromkeys([*before, *now])
        pairs = [(step, before.get(step), now.get(step)) for step in steps]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = zip(range(len(now)), before, now, strict=True)
    elif isinstance(before, list) and isinstance(now, list):
        yield path, f"{path_text(path)} had {len(before)} items, and has {len(now)} now"
        return
    else:
        if before != now:
            words = f"was {shown(before)}, and is {shown(now)} now"
            yield path, f"{path_text(path)} {words}"
        return
    for step, one, other in pairs:
        yield from differences(one, other, (*path, step))


def _refuse(message):
    raise ConfigError([Problem("", (), "", message)])


def _begin(folder, experiment, resolved):
    """Write into a new folder what was asked for."""
    given = experiment.given
    if isinstance(given, Path):
        text, suffix = given.read_text(encoding="utf-8-sig"), given.suffix
    else:
        text = json.dumps(given, indent=1, default=lambda value: {"object": str(value)})
        text, suffix = text + "\n", ".json"
    if isinstance(resolved["model"], dict) and resolved["model"].get("file") == INITIAL:
        save_initial(experiment.own_model.made, folder)
    fill(folder, text, suffix, resolved, given)


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


def note_epochs(folder, epochs):
    """Note in a run's resolved config how many epochs it is trained for now."""
    resolved = read_resolved(folder)
    if resolved is not None and resolved["fit"].get("epochs") != epochs:
        resolved["fit"]["epochs"] = epochs
        write_text(folder / "resolved.yaml", yaml.safe_dump(resolved, sort_keys=False))


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
    kept = {k: v for k, v in unnumbered(resolved).items() if k not in _MAY_DIFFER}
    fit = {k: v for k, v in kept["fit"].items() if k not in _MAY_DIFFER_IN_FIT}
    return kept | {"fit": fit}
