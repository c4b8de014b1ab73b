"""Checkpoints that repeat a run exactly: everything that training goes on from.

A checkpoint is one `.npz` with the values of all variables (weights, optimizer,
seed generators, which Keras itself saves nowhere), the state of the callbacks, and a
description of the data. One within an epoch also has the metrics, the process-wide
generators and what the epoch has taken so far. It is written under another name and
renamed, so it is whole or not there; the zip format's checksums find a damaged one, and
the one before it is kept.
"""

import json
from pathlib import Path

import keras
import ml_dtypes
import numpy as np

from keras_dlparts import backend
from keras_dlparts.support.files import read_arrays, write_arrays

_KEPT = 2


class Checkpoints:
    """The checkpoints in a folder, the last two kept.

    Args:
        folder: where they are; made when the first is written.
        say: called with a line where a damaged one is passed over.
        data: what `same_data.described` says of the run's data, noted in each.
        openings: list of the checksums of the first batch of each epoch so far, noted
            too; see `keras_dlparts.data.passes`.
    """

    def __init__(self, folder, say=None, data=None, openings=()):
        self.folder, self.data, self.openings = Path(folder), data, openings
        self.say = say or (lambda line: None)

    def save(self, epoch, model, callbacks, step=0, steps_a_call=1, spent=None):
        """Write the state in which `step` steps of an epoch, from 0, are done.

        Args:
            epoch: the epoch's number, from 0.
            model, callbacks: what is saved.
            step: how many of the epoch's steps are done; 0 for its begin.
            steps_a_call: how many a call of the training function took.
            spent: numbers of the epoch so far, for whoever goes on with it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        backend.up_to_date(model)
        arrays = {}
        manifest = {
            "epoch": epoch,
            "stopped": bool(getattr(model, "stop_training", False)),
            "variables": [v.path for v in _variables(model)],
            "callbacks": [_packed(plain_state(c), arrays) for c in callbacks],
            "data": self.data,
            "openings": [*self.openings],
        }
        for i, variable in enumerate(_variables(model)):
            arrays[f"variable_{i}"] = variable.numpy()
        if step:
            manifest |= {"step": step, "steps_a_call": steps_a_call, "spent": spent}
            manifest["generators"] = _packed(backend.generators(), arrays)
            for i, variable in enumerate(model.metrics_variables):
                arrays[f"metric_{i}"] = variable.numpy()
        arrays["manifest"] = np.array(json.dumps(manifest))
        name = f"epoch-{epoch:05d}" + (f"-step-{step:09d}" if step else "")
        path = self.folder / f"{name}.npz"
        write_arrays(path, arrays)
        paths = self.paths()
        written = paths.index(path)
        # Any later ones were found to be damaged: else the run would have gone on from
        # one of them, and this one would not be written now.
        for old in [*paths[: max(0, written + 1 - _KEPT)], *paths[written + 1 :]]:
            old.unlink()

    def paths(self):
        """The checkpoints' files, the oldest first."""
        return sorted(self.folder.glob("epoch-*.npz"), key=lambda path: path.stem)

    def newest(self, suits=lambda manifest: True):
        """(manifest, arrays) of the newest whole checkpoint, or None.

        The newest of those for which `suits(manifest)` holds, or the oldest of all
        where it holds for none.
        """
        oldest = None
        for path in reversed(self.paths()):
            arrays = read_arrays(path)
            if arrays is None or "manifest" not in arrays:
                self.say(f"{path} is damaged; looking for the checkpoint before it")
                continue
            manifest = json.loads(str(arrays["manifest"]))
            oldest = {"step": 0, "data": None, "openings": [], **manifest}, arrays
            if suits(oldest[0]):
                break
        return oldest


def restore(saved, model, callbacks):
    """Put a model and its callbacks into the state of a checkpoint.

    The metrics too, where it is one within an epoch.
    """
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
        _assign(variable, value)
    if manifest["step"]:
        for i, variable in enumerate(model.metrics_variables):
            _assign(variable, arrays[f"metric_{i}"])
    restore_callbacks(saved, callbacks)
    model.stop_training = manifest["stopped"]


def restore_generators(saved):
    """Put the process-wide generators where they were within an epoch."""
    manifest, arrays = saved
    backend.set_generators(_unpacked(manifest["generators"], arrays))


def _assign(variable, value):
    # numpy's file format has no bfloat16: its bytes come back without a type.
    variable.assign(value.view(variable.numpy().dtype))


def restore_callbacks(saved, callbacks):
    """Give callbacks the plain attributes they had.

    One that holds an object now was handed it for this training, such as data.
    """
    manifest, arrays = saved
    for callback, state in zip(callbacks, manifest["callbacks"], strict=True):
        now = vars(callback)
        for name, value in _unpacked(state, arrays).items():
            if _is_plain(now.get(name)):
                now[name] = value


def _variables(model):
    """Weights, seed states and optimizer variables, in a fixed order."""
    backend.build_optimizer(model)
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
        return value.dtype.kind in "biuf" or _is_of_ml_dtypes(value.dtype)
    if callable(value):
        return _comparison(value) is not None
    return value is None or isinstance(value, bool | int | float | str)


def _is_of_ml_dtypes(dtype):
    """Whether a type is one that numpy has from elsewhere, such as bfloat16."""
    return hasattr(ml_dtypes, dtype.name)


def _comparison(value):
    """The name of the comparison that a callback has chosen for what it monitors.

    Keras' EarlyStopping and its like choose it once, after the first epoch, and turn
    the sign of `min_delta` with it: it has to come back together with that.
    """
    return next(
        (n for n in ("less", "greater") if getattr(keras.ops, n) is value), None
    )


def _packed(value, arrays):
    """JSON for a plain value, its arrays moved to `arrays`."""
    if isinstance(value, dict):
        return {"dict": {k: _packed(v, arrays) for k, v in value.items()}}
    if isinstance(value, list | tuple):
        return {"list": [_packed(v, arrays) for v in value]}
    if isinstance(value, np.ndarray | np.generic):
        name = f"state_{len(arrays)}"
        arrays[name] = np.asarray(value)
        if _is_of_ml_dtypes(value.dtype):
            return {"array": name, "dtype": value.dtype.name}
        return {"array": name}
    return {"comparison": _comparison(value)} if callable(value) else value


def _unpacked(value, arrays):
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {k: _unpacked(v, arrays) for k, v in value["dict"].items()}
    if "list" in value:
        return [_unpacked(v, arrays) for v in value["list"]]
    if "comparison" in value:
        return getattr(keras.ops, value["comparison"])
    array = arrays[value["array"]]
    if "dtype" in value:  # its bytes come back without a type, as in `_assign`
        array = array.view(getattr(ml_dtypes, value["dtype"]))
    return array if array.ndim else array[()]
