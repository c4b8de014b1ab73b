"""The search as it goes: one table in a terminal or notebook, else one line a trial."""

import time

from rich.live import Live
from rich.table import Table
from rich.text import Text

from keras_dlparts.report.html import duration
from keras_dlparts.support import progress

_ROWS = 12
_SECONDS_BETWEEN_DRAWINGS = 0.2


class LiveTable:
    """Shows an oracle's trials, the best so far and the time left.

    Args:
        oracle: one of ours; read, never changed.
        workers: how many trials run at once.
        verbose: 0 for neither table nor lines.
        console: a `rich.console.Console`, by default that of all reports.
    """

    def __init__(self, oracle, workers=1, verbose="auto", console=None):
        self.oracle, self.workers = oracle, max(1, workers)
        self.console = console or progress.console()
        self.reports = progress.reports(verbose)
        self.started, self.drawn = time.monotonic(), 0.0
        self.begun, self.epochs = {}, {}
        self.said = {i for i, trial in oracle.trials.items() if _ended(trial)}
        self.live = None
        notebook = self.reports and console is None and progress.in_notebook()
        self.cell = progress.Cell() if notebook else None

    def __enter__(self):
        if self.reports and not self.cell and progress.is_live(self.console):
            self.live = Live(console=self.console, auto_refresh=False, transient=True)
            self.live.start()
        return self

    def __exit__(self, *exception):
        self.update()
        if self.cell:
            self.cell.show(self.table(), at_once=True)
        if self.live:
            self.live.stop()
            self.live = None

    def on_epoch(self, trial_id, epoch, epochs, metrics):
        self.epochs[trial_id] = f"{epoch}/{epochs}"
        self.update()

    def update(self):
        """Say what has ended since, and draw the table if it is time to."""
        for trial in [*self.oracle.trials.values()]:
            if _ended(trial) and trial.trial_id not in self.said:
                self.said.add(trial.trial_id)
                if not self.cell:  # its table has the trial
                    self.say(self._line(trial))
            elif not _ended(trial):
                self.begun.setdefault(trial.trial_id, time.monotonic())
        now = time.monotonic()
        if self.live and now - self.drawn >= _SECONDS_BETWEEN_DRAWINGS:
            self.drawn = now
            self.live.update(self.table(), refresh=True)
        elif self.cell:
            self.cell.show(self.table())

    def say(self, line):
        if self.reports:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _line(self, trial):
        notes = self.oracle.notes.get(trial.trial_id, {})
        said = f"trial {trial.trial_id}  {self._result(trial)}"
        if trial.status == "COMPLETED" and notes.get("epochs") != notes.get("asked"):
            said += f"  {notes['epochs']} of {notes['asked']} epochs"
        if "seconds" in notes:
            said += f"  {duration(notes['seconds'])}"
        best = self._best()
        if best is not None:
            said += f"  best {best.score:.4g} in trial {best.trial_id}"
        left = self.seconds_left()
        return said + (f"  about {duration(left)} left" if left else "")

    def _result(self, trial):
        if trial.status == "COMPLETED":
            return f"{self.oracle.objective.name} {trial.score:.4g}"
        reason = self.oracle.notes.get(trial.trial_id, {}).get("reason", "")
        return f"failed: {first_line(reason)}" if trial.status == "FAILED" else ""

    def _best(self):
        best = self.oracle.get_best_trials()
        return best[0] if best and best[0].status == "COMPLETED" else None

    def seconds_left(self):
        """Seconds until all trials are done, at the pace so far; None if unknown."""
        total = self.oracle.expected
        spent = [
            notes["seconds"]
            for notes in [*self.oracle.notes.values()]
            if "seconds" in notes
        ]
        if not total or not spent:
            return None
        left = max(0, total - sum(_ended(t) for t in self.oracle.trials.values()))
        return left * sum(spent) / len(spent) / min(self.workers, max(left, 1))

    def table(self):
        """The table as it stands now."""
        trials = [*self.oracle.trials.values()]
        ended = [trial for trial in trials if _ended(trial)]
        failed = sum(trial.status == "FAILED" for trial in ended)
        best, left = self._best(), self.seconds_left()
        total = self.oracle.expected
        title = f"{len(ended)}{f' of {total}' if total else ''} trials"
        title += f" · {failed} failed" if failed else ""
        if best is not None:
            title += f" · best {self.oracle.objective.name} {best.score:.4g}"
            title += f" (trial {best.trial_id})"
        title += f" · {duration(time.monotonic() - self.started)}"
        title += f", about {duration(left)} left" if left else ""
        table = Table(
            title=title, title_justify="left", box=None, pad_edge=False, expand=True
        )
        for name in ("trial", "state", self.oracle.objective.name, "epoch", "time"):
            table.add_column(name, no_wrap=True)
        table.add_column("values", overflow="ellipsis", no_wrap=True, ratio=1)
        shown = [trial for trial in trials if not _ended(trial)]
        shown += ended[-max(1, _ROWS - len(shown)) :]
        if best is not None and best not in shown:
            shown.append(best)
        for trial in sorted(shown, key=lambda trial: trial.trial_id):
            table.add_row(*self._row(trial, trial is best))
        return table

    def _row(self, trial, is_best):
        trial_id, notes = trial.trial_id, self.oracle.notes.get(trial.trial_id, {})
        if _ended(trial):
            epochs, seconds = notes.get("epochs", ""), notes.get("seconds")
        else:
            epochs = self.epochs.get(trial_id) or _epochs_seen(trial, self.oracle)
            seconds = time.monotonic() - self.begun.get(trial_id, time.monotonic())
        states = {"COMPLETED": "done", "FAILED": "failed"}
        score = f"{trial.score:.4g}" if trial.status == "COMPLETED" else ""
        values = "  ".join(
            f"{name} {_short(value)}"
            for name, value in trial.hyperparameters.values.items()
        )
        if trial.status == "FAILED":
            values = first_line(notes.get("reason", ""))
        style = {"COMPLETED": "", "FAILED": "red"}.get(trial.status, "cyan")
        return [
            Text(str(cell), style="bold green" if is_best else style)
            for cell in (
                trial_id,
                states.get(trial.status, "running"),
                score,
                epochs,
                "" if seconds is None else duration(seconds),
                values,
            )
        ]


def first_line(text):
    r"""The first line of a reason, for a table; of a config's problem, place and rule.

    >>> first_line("a.yaml:2:9  model[0].units\n  must be positive\na.yaml:3:1  loss")
    'a.yaml:2:9  model[0].units: must be positive'
    """
    first, *others = [line for line in text.splitlines() if line.strip()] or [""]
    if others and others[0].startswith("  "):  # a problem is told below its place
        first = f"{first}: {others[0].strip()}"
    return first.strip()


def _epochs_seen(trial, oracle):
    name = oracle.objective.name
    known = trial.metrics
    return len(known.get_history(name)) if known.exists(name) else ""


def _ended(trial):
    return trial.status in ("COMPLETED", "FAILED")


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
