"""What a run writes as it goes: history.csv, TensorBoard logs, models, status."""

import csv
import importlib.util
import io
import math
import os
import re
import resource
import sys
import time
from pathlib import Path

import keras

from keras_dlparts import backend
from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.training.folder import write_json, write_text
from keras_dlparts.training.run import higher_is_better


class NonFiniteError(RuntimeError):
    """Training met a NaN or an infinity; the message names where it began."""

    def __init__(self, message, step=None):
        super().__init__(message)
        self.step = step


class RunLog(keras.callbacks.Callback):
    """Writes a run's files at the end of each epoch; every file whole or not at all."""

    def __init__(self, folder, checkpoints, best, epochs, callbacks=()):
        super().__init__()
        self.folder, self.checkpoints = folder, checkpoints
        self.best, self.epochs, self.callbacks = best, epochs, callbacks
        self.rows = _read_rows(folder / "history.csv")

    def keep_rows_before(self, epoch):
        """Forget rows of epochs (numbered from 0) that will be run again."""
        self.rows = [row for row in self.rows if row["epoch"] <= epoch]

    def status(self, state, message=""):
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
        self.epoch_started = time.perf_counter()
        self.steps = 0
        self.training_seconds = None

    def on_train_batch_end(self, batch, logs=None):
        # Where a call takes several steps the last one may take fewer.
        self.steps = min(batch + 1, self.params.get("steps") or batch + 1)
        if not math.isfinite(logs.get("loss", 0.0)):
            raise NonFiniteError("the loss is not finite", step=self.steps - 1)

    def on_test_begin(self, logs=None):
        if self.training_seconds is None:
            self.training_seconds = time.perf_counter() - self.epoch_started

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.epoch_started
        if not math.isfinite(logs.get("val_loss", 0.0)):
            raise NonFiniteError("the validation loss is not finite", step=self.steps)
        training = self.training_seconds or seconds
        row = {"epoch": epoch + 1, **{k: float(v) for k, v in logs.items()}}
        row = self._optimizer_logs() | row  # a callback may have told it better
        row["learning_rate"] = backend.number(self.model.optimizer.learning_rate)
        row["seconds"] = round(seconds, 4)
        row["ms_per_step"] = round(1000 * training / max(self.steps, 1), 3)
        row["memory_mb"] = round(peak_memory_mb(), 1)
        self.rows.append(row)
        self._write_history()
        self._write_tensorboard(row)
        if self._is_best():
            save_model(self.model, self.folder / "best.keras")
        self.checkpoints.save(epoch + 1, self.model, self.callbacks)
        self.status("running")

    def _optimizer_logs(self):
        """What the optimizer has to tell of an epoch, if it has `logs()`."""
        # Mixed precision puts a loss scaling around it.
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

        if not hasattr(self, "events"):
            self.events = EventFileWriter(str(self.folder / "tensorboard"))
        values = [
            summary_pb2.Summary.Value(tag=key, simple_value=value)
            for key, value in row.items()
            if key != "epoch"
        ]
        summary = summary_pb2.Summary(value=values)
        self.events.add_event(
            event_pb2.Event(wall_time=time.time(), step=row["epoch"], summary=summary)
        )
        self.events.flush()

    def on_train_end(self, logs=None):
        if hasattr(self, "events"):
            self.events.close()
            del self.events

    def _is_best(self):
        """Whether the last row beats the earlier ones on the monitored column."""
        monitor = self.monitor()
        sign = -1 if self.higher_is_better(monitor) else 1
        if monitor not in self.rows[-1]:  # an epoch without validation
            return False
        *earlier, latest = [sign * row[monitor] for row in self.rows if monitor in row]
        return not earlier or latest < min(earlier)

    def monitor(self):
        """The column that decides: the config's, else val_loss, else loss."""
        if self.best.monitor:
            known = self.rows[-1].keys()
            if self.best.monitor not in known and len(self.rows) == 1:
                message = (
                    f"no column of the history. Received: {self.best.monitor!r}; "
                    f"accepted: {', '.join(known)}"
                )
                raise ConfigError([Problem("", (), "best.monitor", message)])
            return self.best.monitor
        has_validation = any("val_loss" in row for row in self.rows)
        return "val_loss" if has_validation else "loss"

    def higher_is_better(self, monitor):
        if self.best.mode != "auto":
            return self.best.mode == "max"
        return higher_is_better(monitor)


def _read_rows(path):
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        {k: int(v) if k == "epoch" else float(v) for k, v in row.items() if v != ""}
        for row in rows
    ]


def save_model(model, path):
    """Save a `.keras` file whole or not at all."""
    partial = path.with_name(f".{path.stem}.partial.keras")
    model.save(partial)
    os.replace(partial, path)


def peak_memory_mb():
    """The most memory this process has held so far."""
    status = Path("/proc/self/status")  # Linux; getrusage counts the parent's too
    if status.exists():
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found:
            return int(found[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
