"""Progress of `fit`: two rich bars in a terminal, one plain line an epoch elsewhere.

In a notebook one output has the bars and the last epochs, and is drawn again in place.

The bars are drawn by the training thread, at most ten times a second, and only
then are the batch's figures formatted. There is no drawing thread, so nothing
goes on writing after an exception.
"""

import atexit
import time

import keras
import numpy as np
from rich import progress
from rich.console import Group
from rich.table import Column
from rich.text import Text

from keras_dlparts.runs import BOOKKEEPING
from keras_dlparts.support import progress as reporting

_SECONDS_BETWEEN_DRAWINGS = 0.1
_MOST_LINES = 10  # of epochs, in a notebook


class Progress(keras.callbacks.Callback):
    """Shows how far `fit` is: epochs, steps, losses, metrics, time left.

    Pass `verbose=0` to `fit`, or Keras shows its own bar too. `fit` tells callbacks
    nothing about an exception: use the object in a `with` statement, or call
    `close()` in a `finally`, to leave the terminal clean after one. Without either
    it is cleaned when the process ends.

    Args:
        console: A `rich.console.Console`. By default the one on standard error that all
            reports go through.

    Example:

    >>> import keras, sys
    >>> from rich.console import Console
    >>> model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="zeros")])
    >>> model.compile("sgd", "mse")
    >>> x = keras.ops.zeros((8, 2))
    >>> with Progress(Console(file=sys.stdout)) as bar:
    ...     _ = model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[bar])
    epoch 1/2  loss 0.0000  ... s
    epoch 2/2  loss 0.0000  ... s
    """

    def __init__(self, console=None):
        super().__init__()
        notebook = console is None and reporting.in_notebook()
        self._cell = reporting.Cell() if notebook else None
        self._lines = []
        self.console = console or reporting.console()
        self._bars = None
        self._training = False
        self._steps = None  # a step count that an earlier epoch taught

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Remove the bars and give the terminal back. May be called twice."""
        if self._bars:
            bars, self._bars = self._bars, None
            if self._cell:
                self._show()
            else:
                bars.stop()
            atexit.unregister(self.close)
        self._training = False

    def on_train_begin(self, logs=None):
        self.close()
        self._training, self._steps = True, None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._seen = epoch, 0
        self._started = time.monotonic()
        self._drawn = 0.0
        if not self._bars and (self._cell or reporting.is_live(self.console)):
            self._open(epoch)
        if self._bars:
            self._new_step_bar("step", self._total())
            self._draw({})

    def on_train_batch_end(self, batch, logs=None):
        self._seen = batch + 1
        if self._is_due():
            self._draw(logs)

    def on_test_begin(self, logs=None):
        if self._training and self._bars:
            # Validation says nothing of its steps: the bar only shows life.
            self._new_step_bar("validation", None)
            self._refresh()

    def on_test_batch_end(self, batch, logs=None):
        if self._training and self._is_due():
            self._drawn = time.monotonic()
            self._bars.update(self._step_bar, completed=batch + 1, figures=_text(logs))
            self._refresh()

    def on_epoch_end(self, epoch, logs=None):
        self._steps = self._seen
        seconds = time.monotonic() - self._started
        line = (
            f"epoch {epoch + 1}/{self.params['epochs']}  {_text(logs)}  {seconds:.1f} s"
        )
        if self._cell:
            self._lines.append(line)
        else:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        if self._bars:
            self._bars.update(self._epoch_bar, completed=epoch + 1)
            self._refresh()

    def on_train_end(self, logs=None):
        self.close()

    def _is_due(self):
        waited = self._bars and time.monotonic() - self._drawn
        return self._bars is not None and waited >= _SECONDS_BETWEEN_DRAWINGS

    def _total(self):
        return self.params.get("steps") or self._steps

    def _open(self, epoch):
        # The first epoch, not 0: a resumed run starts in the middle.
        self._bars = progress.Progress(
            progress.TextColumn("{task.description:<10}"),  # "validation" fits
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn(
                "{task.fields[figures]}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            console=self.console,
            auto_refresh=False,
            transient=True,
            expand=True,
            speed_estimate_period=600,
        )
        total = self.params["epochs"]
        self._epoch_bar = self._bars.add_task(
            "epoch", total=total, completed=epoch, figures="left in all"
        )
        self._step_bar = None
        atexit.register(self.close)
        if not self._cell:
            self._bars.start()

    def _refresh(self):
        if self._cell:
            self._show(at_once=False)
        else:
            self._bars.refresh()

    def _show(self, at_once=True):
        """Draw the last epochs and the bars in a notebook's cell."""
        before = len(self._lines) - _MOST_LINES
        shown = [f"{before} epochs before"] if before > 0 else []
        shown += self._lines[-_MOST_LINES:]
        bars = [self._bars] if self._bars else []
        self._cell.show(Group(*map(Text, shown), *bars), at_once)

    def _new_step_bar(self, description, total):
        # A new task each time: rich's reset cannot make a total unknown again.
        if self._step_bar is not None:
            self._bars.remove_task(self._step_bar)
        self._step_bar = self._bars.add_task(description, total=total, figures="")

    def _draw(self, logs):
        self._drawn = time.monotonic()
        total = self._total()
        done = self._epoch + (min(self._seen / total, 1) if total else 0)
        self._bars.update(self._epoch_bar, completed=done)
        self._bars.update(self._step_bar, completed=self._seen, figures=_text(logs))
        self._refresh()


def _text(logs):
    """ "loss 0.1234  accuracy 0.9876": what of the logs is one number."""
    figures = {
        name: float(value)
        for name, value in (logs or {}).items()
        if name not in BOOKKEEPING and np.ndim(value) == 0
    }
    return "  ".join(f"{name} {_number(value)}" for name, value in figures.items())


def _number(value):
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3e}"
