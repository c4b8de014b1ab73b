"""Checkpoints that repeat a run exactly: everything that an epoch starts from.

A checkpoint is one `.npz` with the values of all variables (weights, optimizer,
seed generators, which Keras itself saves nowhere) and the state of the callbacks.
It is written under another name and renamed, so it is whole or not there; the zip
format's checksums find a damaged one, and the one before it is kept.
"""

import json
import os
import zipfile
from pathlib import Path

import numpy as np

_KEPT = 2


class Checkpoints:
    """The checkpoints in a folder, one an epoch, the last two kept."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def save(self, epoch, model, callbacks):
        """Write the state that epoch number `epoch` (from 0) starts from."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {}
        manifest = {
            "epoch": epoch,
            "stopped": bool(getattr(model, "stop_training", False)),
            "variables": [v.path for v in _variables(model)],
            "callbacks": [_packed(plain_state(c), arrays) for c in callbacks],
        }
        for i, variable in enumerate(_variables(model)):
            arrays[f"variable_{i}"] = variable.numpy()
        arrays["manifest"] = np.array(json.dumps(manifest))
        path = self.folder / f"epoch-{epoch:05d}.npz"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        for old in self._paths()[:-_KEPT]:
            old.unlink()

    def _paths(self):
        return sorted(self.folder.glob("epoch-*.npz"))

    def newest(self):
        """(manifest, arrays) of the newest whole checkpoint, or None."""
        for path in reversed(self._paths()):
            try:
                # Opened here: numpy leaves a damaged file open.
                with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                    arrays = {name: file[name] for name in file.files}
            except (zipfile.BadZipFile, OSError, ValueError, EOFError):
                continue  # cut short by a crash or a full disk: the one before it
            return json.loads(str(arrays["manifest"])), arrays
        return None


def restore(saved, model, callbacks):
    """Put a model and its callbacks into the state of a checkpoint."""
    manifest, arrays = saved
    variables = _variables(model)
    if len(manifest["variables"]) != len(variables):
        raise ValueError(
            "The checkpoint is of another model: it holds "
            f"{len(manifest['variables'])} variables, this model has {len(variables)}."
        )
    for i, variable in enumerate(variables):
        value = arrays[f"variable_{i}"]
        if value.shape != tuple(variable.shape):
            raise ValueError(
                f"The checkpoint is of another model: variable {variable.path} has "
                f"shape {tuple(variable.shape)}. Received: {value.shape}"
            )
        # numpy's format knows no bfloat16 and gives its bytes back untyped.
        variable.assign(value.view(variable.numpy().dtype))
    restore_callbacks(saved, callbacks)
    model.stop_training = manifest["stopped"]


def restore_callbacks(saved, callbacks):
    """Give callbacks the plain attributes they had."""
    manifest, arrays = saved
    for callback, state in zip(callbacks, manifest["callbacks"], strict=True):
        vars(callback).update(_unpacked(state, arrays))


def _variables(model):
    """Weights, seed states and optimizer variables, in a fixed order."""
    model.optimizer.build(model.trainable_variables)  # `fit` would do so later
    return [*model.variables, *model.optimizer.variables]


def plain_state(callback):
    """A callback's own plain attributes: numbers, text, arrays, lists and dicts."""
    skipped = ("params", "_model", "model", "validation_data")
    return {
        name: value
        for name, value in vars(callback).items()
        if name not in skipped and _is_plain(value)
    }


def _is_plain(value):
    if isinstance(value, dict):
        return all(isinstance(k, str) for k in value) and _is_plain([*value.values()])
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biuf"
    return value is None or isinstance(value, bool | int | float | str)


def _packed(value, arrays):
    """JSON for a plain value, its arrays moved to `arrays`."""
    if isinstance(value, dict):
        return {"dict": {k: _packed(v, arrays) for k, v in value.items()}}
    if isinstance(value, list | tuple):
        return {"list": [_packed(v, arrays) for v in value]}
    if isinstance(value, np.ndarray | np.generic):
        name = f"state_{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {"array": name}
    return value


def _unpacked(value, arrays):
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {k: _unpacked(v, arrays) for k, v in value["dict"].items()}
    if "list" in value:
        return [_unpacked(v, arrays) for v in value["list"]]
    array = arrays[value["array"]]
    return array if array.ndim else array[()]
