"""What a run writes as it goes: history.csv, TensorBoard logs, models, status."""

import contextlib
import csv
import importlib.util
import io
import math
import re
import resource
import sys
import time
from pathlib import Path

import keras

from keras_dlparts import backend
from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.runs import AVERAGE, BrokenRunError, best_row
from keras_dlparts.support.files import room, whole, write_json, write_text
from keras_dlparts.training.errors import NonFiniteError
from keras_dlparts.training.feed import Waiting
from keras_dlparts.training.measurements import write_measurements


class RunLog(keras.callbacks.Callback):
    """Writes a run's files at the end of each epoch; every file whole or not at all.

    And a checkpoint after each `fit.checkpoint_every` steps within an epoch, where the
    config asks for it.

    Args:
        folder: the run's folder, a `pathlib.Path`.
        checkpoints: its `Checkpoints`.
        settings: the config's settings.
        callbacks: those whose state a checkpoint holds.
        validates: whether there is validation data.
    """

    def __init__(self, folder, checkpoints, settings, callbacks=(), validates=True):
        super().__init__()
        self.folder, self.checkpoints = folder, checkpoints
        self.best, self.epochs = settings.best, settings.fit.epochs
        self.callbacks = callbacks
        self.every = settings.fit.checkpoint_every or math.inf
        # The epoch after which `val_` columns must be there.
        self.validated = min(settings.fit.validation_freq, self.epochs)
        self.validated = self.validated if validates else 1
        self.rows = _read_rows(folder / "history.csv")
        self.waiting, self.resumed = Waiting(), None

    def go_on_from(self, manifest):
        """Take up a run where a checkpoint stands.

        Rows of epochs after it are dropped: those epochs are run again.
        """
        self.rows = [row for row in self.rows if row["epoch"] <= manifest["epoch"]]
        self.resumed = manifest if manifest["step"] else None

    def status(self, state, message=""):
        """Write status.json: `state` is one of those that `Run.status` names."""
        spent = sum(row["seconds"] for row in self.rows)
        write_json(
            self.folder / "status.json",
            {
                "state": state,
                "message": message,
                "epoch": len(self.rows),
                "epochs": self.epochs,
                "seconds": round(spent, 2),
            },
        )

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.steps, self.saved_at = epoch, 0, 0
        self.training_seconds = None
        # What this epoch took before the run was stopped within it.
        self.spent = {"seconds": 0.0, "waited": 0.0}
        if self.resumed is not None:
            self.saved_at, self.spent = self.resumed["step"], self.resumed["spent"]
            self.resumed = None
        self.epoch_started = time.perf_counter() - self.spent["seconds"]
        self.waiting.begin_epoch()

    def on_train_batch_begin(self, batch, logs=None):
        self.waiting.ask(batch)
        self.call_began = batch

    def on_train_batch_end(self, batch, logs=None):
        self.waiting.got()
        # Keras counts a call as if it took all its steps; an epoch's last takes fewer.
        total = self.params.get("steps") or batch + 1
        self.steps = min(batch + 1, total)
        if not math.isfinite(logs.get("loss", 0.0)):
            raise NonFiniteError("the loss is not finite", step=self.steps - 1)
        a_call = batch + 1 - self.call_began
        # Due where another call would make it more than `every` steps since the last
        # checkpoint. At the epoch's end `on_epoch_end` writes one anyway.
        due = self.steps + a_call - self.saved_at > self.every
        if due and self.steps < total and not self.model.stop_training:
            self.saved_at = self.steps
            spent = {"seconds": time.perf_counter() - self.epoch_started}
            spent["waited"] = self._waited() or 0.0
            self.checkpoints.save(
                self.epoch, self.model, self.callbacks, self.steps, a_call, spent
            )

    def _waited(self):
        """Seconds of this epoch that went in waiting for data; None if not known."""
        now = self.waiting.seconds
        return None if now is None else now + self.spent["waited"]

    def on_test_begin(self, logs=None):
        if self.training_seconds is None:
            self.training_seconds = time.perf_counter() - self.epoch_started

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.epoch_started
        if not math.isfinite(logs.get("val_loss", 0.0)):
            raise NonFiniteError("the validation loss is not finite", step=self.steps)
        training = self.training_seconds or seconds
        row = {"epoch": epoch + 1, **{k: float(v) for k, v in logs.items()}}
        row = self._optimizer_logs() | row  # what callbacks logged wins
        row["learning_rate"] = backend.number(self.model.optimizer.learning_rate)
        row["seconds"] = round(seconds, 4)
        row["ms_per_step"] = round(1000 * training / max(self.steps, 1), 3)
        if self._waited() is not None:
            row["data_wait_share"] = round(self._waited() / training, 4)
        row["memory_mb"] = round(peak_memory_mb(), 1)
        self.rows.append(row)
        self._write_history()
        write_measurements(self.folder, self.callbacks)
        self._write_tensorboard(row)
        self._check_monitor()
        best = self._best()
        if best is not None and best[1] == len(self.rows) - 1:
            with self._weights_of(best[0]):
                save_model(self.model, self.folder / "best.keras")
        self.checkpoints.save(epoch + 1, self.model, self.callbacks)
        self.status("running")

    def _optimizer_logs(self):
        """What the optimizer has to tell of an epoch, if it has `logs()`."""
        # Mixed precision wraps the optimizer in one that scales the loss.
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        tell = getattr(optimizer, "logs", None)
        return tell() if callable(tell) else {}

    def _write_history(self):
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.folder / "history.csv", text.getvalue())

    def _write_tensorboard(self, row):
        if importlib.util.find_spec("tensorboard") is None:
            return
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = self.folder / "tensorboard"
        if not hasattr(self, "events"):
            with room(folder):
                self.events = EventFileWriter(str(folder))
        values = [
            summary_pb2.Summary.Value(tag=key, simple_value=value)
            for key, value in row.items()
            if key != "epoch"
        ]
        summary = summary_pb2.Summary(value=values)
        event = event_pb2.Event(
            wall_time=time.time(), step=row["epoch"], summary=summary
        )
        with room(folder):
            self.events.add_event(event)
            self.events.flush()

    def on_train_end(self, logs=None):
        if hasattr(self, "events"):
            self.events.close()
            del self.events

    def _check_monitor(self):
        """Refuse a `best.monitor` that is no column, once all columns are there."""
        monitor = self.best.monitor
        if monitor is None or any(monitor in row for row in self.rows):
            return
        # A callback may add what it says it does in a later epoch. Until then, val_loss
        # decides in its place.
        if any(monitor in (getattr(c, "columns", ()) or ()) for c in self.callbacks):
            return
        complete = self.validated if monitor.startswith("val_") else 1
        if len(self.rows) == complete:
            known = dict.fromkeys(key for row in self.rows for key in row)
            message = f"no column of the history. Received: {monitor!r}; "
            message += f"accepted: {', '.join(known)}"
            raise ConfigError([Problem("", (), "best.monitor", message)])

    def _best(self):
        """(column, row) of the epoch that `Run.best` will name."""
        columns = {key for row in self.rows for key in row}
        history = {
            key: [row.get(key, math.nan) for row in self.rows] for key in columns
        }
        return best_row(history, self.best.monitor, self.best.mode)

    def _weights_of(self, column):
        """A context in which the model has the weights that a column is of."""
        for callback in self.callbacks:
            averaged = getattr(callback, "averaged", None)
            if column.startswith(AVERAGE) and callable(averaged):
                return averaged()
        return contextlib.nullcontext()


def _read_rows(path):
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            {"epoch": int(row["epoch"])}
            | {k: float(v) for k, v in row.items() if v != "" and k != "epoch"}
            for row in rows
        ]
    except (ValueError, TypeError, KeyError, csv.Error):
        raise BrokenRunError(
            f"{str(path)!r} is broken: it is a table of numbers with a column `epoch`. "
            "Restore the file from a copy, or train anew without --resume."
        ) from None


def save_model(model, path):
    """Save a `.keras` file whole or not at all.

    Of a model that has no `get_config` the weights alone, as `NAME.weights.h5`.
    """
    try:
        with whole(path) as partial:
            model.save(partial)
    except NotImplementedError:  # a class of the user's own has no `get_config`
        path = path.with_suffix(".weights.h5")
        # Keras goes by the end of the name.
        with whole(path) as partial:
            model.save_weights(partial)


def peak_memory_mb():
    """The most memory this process has held so far."""
    status = Path("/proc/self/status")  # on Linux getrusage counts what the parent held
    if status.exists():
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found:
            return int(found[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
