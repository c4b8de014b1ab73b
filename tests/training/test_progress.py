"""Progress on a pseudo-terminal and on a pipe, under a real fit."""

import io
import os
import pty
import re
import select
import subprocess
import sys

import keras
import numpy as np
import pytest
from rich.console import Console

from keras_dlparts.training import progress
from keras_dlparts.training.progress import Progress

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
X = np.ones((64, 3), "float32")


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


@pytest.fixture
def terminal(monkeypatch):
    """A console on a real pseudo-terminal, and what was written to it."""
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    seen = []

    def written():
        file.flush()
        while select.select([master], [], [], 0.05)[0]:
            seen.append(os.read(master, 1 << 16))
        return b"".join(seen).decode()

    with os.fdopen(slave, "w") as file:
        yield Console(file=file, width=100), written
    os.close(master)


def plain(path, model, **fit):
    with path.open("w") as file, Progress(Console(file=file)) as bar:
        model.fit(X, X[:, :1], verbose=0, batch_size=8, callbacks=[bar], **fit)
    return path.read_text()


def test_plain_lines_where_there_is_no_terminal(tmp_path, model):
    said = plain(
        tmp_path / "log", model, epochs=3, initial_epoch=1, validation_split=0.5
    )
    figure = r"\d[\d.e+-]*"
    columns = "  ".join(f"{c} {figure}" for c in ("loss", "mae", "val_loss", "val_mae"))
    first, second = said.splitlines()
    assert re.fullmatch(rf"epoch 2/3  {columns}  {figure} s", first)
    assert re.fullmatch(rf"epoch 3/3  {columns}  {figure} s", second)
    assert "\x1b" not in said


def test_a_long_plain_line_is_not_wrapped(tmp_path, model):
    class Many(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs.update(
                {f"metric_{i}": i for i in range(40)}, seconds=7.0, curve=[1, 2]
            )

    path = tmp_path / "log"
    with path.open("w") as file, Progress(Console(file=file)) as bar:
        model.fit(X, X[:, :1], verbose=0, callbacks=[Many(), bar])
    (line,) = path.read_text().splitlines()
    assert "metric_39 39.0000" in line
    assert "seconds" not in line  # the line ends with its own
    assert "curve" not in line


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("CI", "true")])
def test_plain_lines_on_a_poor_terminal(terminal, monkeypatch, model, name, value):
    monkeypatch.setenv(name, value)
    console, written = terminal
    with Progress(console) as bar:
        model.fit(X, X[:, :1], verbose=0, callbacks=[bar])
    assert written().startswith("epoch 1/1  loss")
    assert "\x1b" not in written()


def test_bars_on_a_terminal(terminal, monkeypatch, model):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_DRAWINGS", 0)
    console, written = terminal
    with Progress(console) as bar:
        model.fit(
            X,
            X[:, :1],
            verbose=0,
            batch_size=8,
            validation_split=0.5,
            epochs=5,
            initial_epoch=3,
            callbacks=[bar],
        )
    said = written()
    assert "3/5" in said  # a resumed run starts in the middle
    assert "0/5" not in said
    assert "2/4" in said  # steps
    assert "validation" in said
    assert "━" in said
    assert "epoch 5/5  loss" in said
    assert said.count(HIDE) == said.count(SHOW) == 1
    assert said.index(HIDE) < said.rindex("\x1b[2K") < len(said)  # bars are wiped


def test_unknown_steps_are_learnt_in_the_first_epoch(terminal):
    console, written = terminal
    bar = Progress(console)
    bar.set_params({"epochs": 2, "steps": None})
    with bar:
        bar.on_train_begin()
        for epoch in range(2):
            bar.on_epoch_begin(epoch)
            for step in range(3):
                bar.on_train_batch_end(step, {"loss": 1.0})
            bar.on_epoch_end(epoch, {"loss": 1.0})
    assert "0/?" in written()
    assert "0/3" in written()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_terminal_is_clean_after_an_error(terminal, model, error):
    class Fails(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise error

    console, written = terminal
    streams = sys.stdout, sys.stderr
    with pytest.raises(error), Progress(console) as bar:
        model.fit(X, X[:, :1], verbose=0, callbacks=[bar, Fails()])
    bar.close()  # twice is fine
    assert written().count(HIDE) == written().count(SHOW) == 1
    assert (sys.stdout, sys.stderr) == streams


def test_drawings_are_few(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    drawn = []
    # No pseudo-terminal: too many drawings would fill it, and the test would hang.
    bar = Progress(Console(file=io.StringIO(), force_terminal=True))
    bar.set_params({"epochs": 1, "steps": 5000})
    monkeypatch.setattr(progress, "_text", lambda logs: drawn.append(logs) or "")
    with bar:
        bar.on_train_begin()
        bar.on_epoch_begin(0)
        began = progress.time.monotonic()
        for step in range(5000):
            bar.on_train_batch_end(step, {"loss": 1.0})
        spent = progress.time.monotonic() - began
    assert len(drawn) <= 2 + spent / 0.1


def test_evaluate_alone_is_no_training(model):
    bar = Progress()
    model.evaluate(X, X[:, :1], verbose=0, callbacks=[bar])


def test_figures_are_readable():
    logs = {"loss": 1e-5, "mae": 0.25, "big": 123456.0, "zero": 0.0, "nan": np.nan}
    assert progress._text(logs) == (
        "loss 1.000e-05  mae 0.2500  big 1.235e+05  zero 0.0000  nan nan"
    )
    assert progress._text(None) == ""


CRASH = """
import keras, numpy as np
from keras_dlparts.training.progress import Progress
class Fails(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("boom")
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
print("result")
model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0, callbacks=[Progress(), Fails()])
"""


@pytest.mark.slow
def test_a_crash_without_close_leaves_the_terminal_clean():
    master, slave = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "CI"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", CRASH],
        stdout=subprocess.PIPE,
        stderr=slave,
        env=environment,
        text=True,
    )
    os.close(slave)
    said = b""
    while True:
        try:
            part = os.read(master, 1 << 16)
        except OSError:  # the other end was closed
            break
        said += part
    os.close(master)
    assert process.communicate(timeout=60)[0] == "result\n"  # progress is on stderr
    text = said.decode()
    assert text.count(HIDE) == text.count(SHOW) == 1
    assert text.index("boom") < text.rindex(SHOW)
    assert process.returncode == 1
