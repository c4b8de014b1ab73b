"""A run directory, read back: what was asked, on what machine, and how it went.

Reading imports no backend; only `Run.model` does. Each file is read once, at its
first use: a new `Run` takes a fresh look.
"""

import csv
import functools
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keras_dlparts.support.locks import owner_is_gone

if TYPE_CHECKING:
    import keras

    from keras_dlparts.comparing import Comparison

# Columns of the history that say how the work went, not how good the model is.
BOOKKEEPING = (
    "epoch",
    "learning_rate",
    "seconds",
    "ms_per_step",
    "data_wait_share",
    "memory_mb",
)
_STATES = ("running", "done", "stopped", "failed")
# What a value in a run's files is, where it is there and not null.
_NUMBER = int | float
_KINDS = {dict: "an object", list: "an array", str: "text", _NUMBER: "a number"}
# Words in the names of metrics that are better when higher. Keras writes IoU as `io_u`.
_HIGHER = {
    *("acc", "accuracy", "auc", "precision", "recall", "sensitivity", "specificity"),
    *("f1", "f1score", "fbeta", "iou", "miou", "r2", "similarity", "correlation"),
}
# Words that make a metric better when lower, whatever else stands in its name.
_LOWER = {"error", "loss"}


class BrokenRunError(ValueError):
    """A file of a run's folder that does not hold what a training writes there."""


def higher_is_better(column: str) -> bool:
    """Whether a metric of this name is one to push up, as accuracy is.

    Args:
        column: the column's name in a history, such as `"val_accuracy"`.
    """
    name = re.sub("(?<=[a-z])(?=[A-Z][a-z])", "_", column).lower()
    words = {*re.split(r"[^a-z0-9]+", name.replace("io_u", "iou"))}
    return bool(words & _HIGHER) and not words & _LOWER


def _best_trial(folder):
    """The run of the best trial in a search's folder; None where there is none."""
    if not (folder / "search.json").is_file():
        return None
    from keras_dlparts.searching.view import Search

    try:
        best = Search(folder).best
    except (OSError, ValueError):  # what is damaged gives no hint
        return None
    return None if best is None else best.path


# What the columns of averaged weights begin with; see `callbacks.WeightAverage`.
AVERAGE = "average_"


def best_row(
    history: Mapping[str, Sequence[float]],
    monitor: str | None = None,
    mode: str = "auto",
) -> tuple[str, int] | None:
    """Which epoch of a history is the best one: `best.keras` is saved by this rule.

    The column that decides is the first of `monitor`, val_loss and loss that has a
    finite value in some row, or the same of averaged weights, `average_val_loss`, where
    that has a better one. Values that are not finite never win, and of equal ones the
    first does, the weights' own before their average's. So the best row of a history
    with one row more is that row, or the row from before.

    Args:
        history: column -> values, one a row; nan where an epoch has none.
        monitor: the config's `best.monitor`.
        mode: `"min"`, `"max"`, or `"auto"`, which goes by the column's name. Holds for
            `monitor`, where that is given, and not for what decides in its place.

    Returns: (column, row), or None where nothing finite is there.

    Example:

    >>> best_row({"loss": [3.0, 2.0, 1.0], "val_loss": [math.nan, 2.0, 2.0]})
    ('val_loss', 1)
    """
    for column in (monitor, "val_loss", "loss"):
        places = [
            (one, row)
            for one in (column, f"{AVERAGE}{column}")
            for row, value in enumerate(history.get(one, ()))
            if math.isfinite(value)
        ]
        if places:
            asked = mode if monitor in (None, column) else "auto"
            if asked == "auto":
                asked = "max" if higher_is_better(column) else "min"
            sign = -1 if asked == "max" else 1
            return min(places, key=lambda at: (sign * history[at[0]][at[1]], at[1]))
    return None


class Run:
    """A read-only view of the directory that one training left behind.

    Args:
        path: The run directory, such as `runs/digits-20250102-030405`.

    Attributes:
        path: The directory, a `pathlib.Path`.
        config: The resolved config, a dict with every default written out.
        environment: What it ran on: command, versions, cores, accelerators.
        status: `state` (running, done, stopped or failed), `message`, `epoch`,
            `epochs`, `seconds`.
        history: Column -> list of floats, one an epoch; an empty cell is nan. Empty
            until the first epoch ends.
        layers: The model's layers, a dict each: `name`, `class`, `output_shape`,
            `parameters`, `trainable`, `from`. Empty if the model was never built.
        columns: The features of the table that it was trained on, a dict each: `name`,
            and `categories`, a list where each became a column. None without a table.
        evaluation: What `dlparts evaluate` measured, a dict for each split: `metrics`,
            `epoch`, `evaluated`. Empty if nothing was evaluated.
        state: As in `status`, or killed where the status says running and the process
            that trained is gone.
        model: `best.keras`, or else `last.keras`, loaded at the first use.

    Example:

    >>> import json, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "digits-20250102-030405")
    >>> path.mkdir()
    >>> status = {"state": "done", "epoch": 2, "epochs": 2, "seconds": 1.5}
    >>> _ = (path / "status.json").write_text(json.dumps(status))
    >>> _ = (path / "resolved.yaml").write_text("model: []")
    >>> _ = (path / "history.csv").write_text("epoch,loss,val_loss\\n1,2,3\\n2,1,2\\n")
    >>> run = Run(path)
    >>> run
    <Run digits-20250102-030405: done, 2 of 2 epochs, best val_loss 2 at epoch 2, 1.5 s>
    >>> run.history["loss"]
    [2.0, 1.0]
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        if not self.path.is_dir():
            kind = "a file" if self.path.exists() else "nothing"
            raise FileNotFoundError(
                "a run is a folder that `dlparts train` or `train()` wrote. "
                f"Received: {str(path)!r}, where there is {kind}. "
                "Give the folder that the training named at its end."
            )
        if not any((self.path / n).is_file() for n in ("status.json", "resolved.yaml")):
            best = _best_trial(self.path)
            inner = sorted(p.parent for p in self.path.glob("*/status.json"))
            hint = f"; did you mean {str(best or inner[-1])!r}?" if inner else ""
            raise FileNotFoundError(
                "a run holds status.json and resolved.yaml. "
                f"Received: {str(path)!r}, which has neither{hint or '.'}"
            )

    def __repr__(self):
        try:
            return f"<Run {self.path.name}: {self._summary()}>"
        except (OSError, ValueError) as error:
            return f"<Run {self.path.name}: cannot be read: {error}>"

    def _summary(self):
        status = self.status
        said = [status["state"]]
        if status.get("epochs"):
            said.append(f"{status.get('epoch', 0)} of {status['epochs']} epochs")
        if best := self.best():
            column, row = best
            value = self.history[column][row]
            said.append(f"best {column} {value:.4g} at epoch {row + 1}")
        if status.get("seconds") is not None:
            said.append(f"{status['seconds']:.1f} s")
        return ", ".join(said)

    def best(self) -> tuple[str, int] | None:
        """(column, row) of the best epoch, or None before the first one.

        It is the epoch that `best.keras` holds. The column is the config's
        `best.monitor`, or else val_loss, or else loss; see `best_row`.
        """
        asked = self.config.get("best") or {}
        return best_row(self.history, asked.get("monitor"), asked.get("mode") or "auto")

    def compare(self, *others: "Run | str | os.PathLike") -> "Comparison":
        """This run beside others: what differs in their configs, and their curves.

        Args:
            *others: Runs, or their paths.

        Returns: a `Comparison`; `write()` makes it a page, and a notebook shows it.
        """
        from keras_dlparts.comparing import Comparison

        return Comparison([self, *others])

    def _repr_html_(self):
        from keras_dlparts.report import notebook

        return notebook.of_run(self)

    @functools.cached_property
    def config(self) -> dict:
        from keras_dlparts.config.read import read

        path = self.path / "resolved.yaml"
        if not path.is_file():
            raise self._missing("resolved.yaml", self._failed_at_once())
        values: dict = read(path).values
        self._check("resolved.yaml", values, name=str, best=dict, fit=dict)
        if "model" not in values:  # a file that was cut off may still be YAML
            raise self._broken("resolved.yaml", "it has `model`", [*values])
        return values

    @functools.cached_property
    def environment(self) -> dict:
        found = self._json("environment.json", dict)
        kinds = {"versions": dict, "git": dict, "accelerators": list}
        self._check("environment.json", found, memory_gb=_NUMBER, **kinds)
        git = found.get("git") or {}
        self._check("environment.json", git, commit=str, branch=str, diff=str)
        return found

    @functools.cached_property
    def status(self) -> dict:
        status = self._json("status.json", dict)
        if status.get("state") not in _STATES:
            raise self._broken(
                "status.json", f"`state` is one of {_STATES}", status.get("state")
            )
        kinds = dict.fromkeys(("epoch", "epochs", "seconds"), _NUMBER)
        self._check("status.json", status, message=str, **kinds)
        return status

    @property
    def state(self) -> str:
        state = self.status["state"]
        gone = state == "running" and owner_is_gone(self.path / "run.lock")
        return "killed" if gone else state

    @functools.cached_property
    def evaluation(self) -> dict[str, dict]:
        if not (self.path / "evaluation.json").exists():
            return {}
        found = self._json("evaluation.json", dict)
        for split, row in found.items():
            if not isinstance(row, dict) or not isinstance(row.get("metrics"), dict):
                raise self._broken("evaluation.json", f"{split} has `metrics`", row)
            metrics = row["metrics"]
            self._check("evaluation.json", row, epoch=_NUMBER)
            self._check("evaluation.json", metrics, **dict.fromkeys(metrics, _NUMBER))
        return found

    @functools.cached_property
    def layers(self) -> list[dict]:
        if not (self.path / "model.json").exists():
            return []
        rows = self._json("model.json", list)
        for row in rows:
            if not isinstance(row, dict) or not {"name", "class"} <= row.keys():
                raise self._broken("model.json", "a row has `name` and `class`", row)
            kinds = {"name": str, "class": str, "from": list, "parameters": _NUMBER}
            self._check("model.json", row, **kinds)
        return rows

    @functools.cached_property
    def columns(self) -> list[dict] | None:
        if not (self.path / "columns.json").exists():
            return None
        rows = self._json("columns.json", list)
        for row in rows:
            if not isinstance(row, dict) or not {"name", "categories"} <= row.keys():
                needed = "a row has `name` and `categories`"
                raise self._broken("columns.json", needed, row)
        return rows

    @functools.cached_property
    def history(self) -> dict[str, list[float]]:
        path = self.path / "history.csv"
        if not path.exists():
            return {}
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            raise self._broken("history.csv", "it is text in UTF-8") from None
        lines = text.splitlines()
        header, *rows = [*csv.reader(lines)] or [[]]
        if rows and len(rows[-1]) != len(header) and not text.endswith("\n"):
            rows.pop()  # the last line is not written to its end yet, or was cut off
        if header and "epoch" not in header:
            raise self._broken("history.csv", "the first line names `epoch`", header)
        columns = {name: [] for name in header}
        for number, row in enumerate(rows, 2):
            if len(row) != len(header):
                rule = f"line {number} has a cell for each of {len(header)} columns"
                raise self._broken("history.csv", rule, row)
            for name, cell in zip(header, row, strict=True):
                try:
                    columns[name].append(float(cell or "nan"))
                except ValueError:
                    rule = f"line {number}, column {name!r}, is a number or empty"
                    raise self._broken("history.csv", rule, cell) from None
        return columns

    @functools.cached_property
    def model(self) -> "keras.Model":
        for name in ("best.keras", "last.keras"):
            if (self.path / name).is_file():
                from keras_dlparts.saving import load_model

                return load_model(self.path / name)
        for path in sorted(self.path.glob("*.weights.h5")):
            raise self._missing(
                "best.keras and no last.keras",
                "The model's class has no `get_config`, so its weights alone are kept: "
                f"make the model and call its load_weights({str(path)!r}).",
            )
        raise self._missing(
            "best.keras and no last.keras",
            "No epoch was finished; train with --resume.",
        )

    def predict(self, data: Any, batch_size: int = 256) -> Any:
        """The outputs of the model in inference, as `dlparts predict` writes them.

        Args:
            data: Arrays of inputs; the path of a `.csv`, `.npz` or `.npy` file; or a
                split of the run's data, `"train"`, `"validation"` or `"test"`.
            batch_size: Integer, `>= 1`. How many samples are computed at once.
        """
        from keras_dlparts.training import predicting

        return predicting.predict(self.model, data, self, batch_size)

    def data(self, split: str = "validation") -> tuple[Any, Any]:
        """(x, y) of a split of the data that the run's config names, as arrays.

        Args:
            split: `"train"`, `"validation"` or `"test"`.
        """
        from keras_dlparts.training import predicting

        return predicting.split_of(split, self.config)

    def export(
        self,
        path: str | os.PathLike,
        format: Literal["saved_model", "onnx", "litert"] = "saved_model",
    ) -> Path:
        """Write the model so that it runs without Keras; returns the path.

        Args:
            path: A file, or a folder for `"saved_model"`.
            format: What runs it: `"saved_model"` TensorFlow and its Serving, `"onnx"`
                ONNX Runtime, `"litert"` LiteRT.
        """
        model = self.model  # names the backend, which comes first
        from keras_dlparts.backend import exports

        return exports.export(model, path, format)

    def _json(self, name, kind):
        path = self.path / name
        if not path.is_file():
            raise self._missing(name)
        try:
            value = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise self._broken(name, f"it is JSON in UTF-8 ({error})") from None
        if not isinstance(value, kind):
            raise self._broken(name, f"it holds {_KINDS[kind]}", type(value).__name__)
        return value

    def _check(self, file, values, /, **kinds):
        """Refuse a file in which a value is of another kind than training writes."""
        for key, kind in kinds.items():
            value = values.get(key)
            if value is not None and not isinstance(value, kind):
                raise self._broken(file, f"`{key}` is {_KINDS[kind]}", value)

    def _failed_at_once(self):
        """Why it failed before it began; "" if that is unknown."""
        if not (self.path / "status.json").is_file() or self.state != "failed":
            return ""
        return f"It failed before it began: {self.status.get('message')}"

    def _missing(self, name, mend=""):
        mend = mend or "Was the run copied whole?"
        return FileNotFoundError(f"the run {str(self.path)!r} has no {name}. {mend}")

    def _broken(self, name, rule, received=None):
        seen = "" if received is None else f" Received: {received!r}."
        return BrokenRunError(
            f"{str(self.path / name)!r} is broken: {rule}.{seen} "
            "Restore the file from a copy, or train again."
        )
