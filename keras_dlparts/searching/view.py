"""A search's folder, read back; imports neither a backend nor KerasTuner."""

import functools
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from keras_dlparts.comparing import dataframe
from keras_dlparts.config.document import Document
from keras_dlparts.config.whole_space import whole_space
from keras_dlparts.runs import Run, higher_is_better
from keras_dlparts.searching.errors import told_if_damaged
from keras_dlparts.searching.folder import read
from keras_dlparts.searching.space import shown_value

if TYPE_CHECKING:
    import keras
    import pandas


@dataclass(frozen=True)
class TrialView:
    """One trial: its values as the config says them, how it went, where its run is."""

    trial_id: str
    status: str  # RUNNING, COMPLETED, FAILED, as KerasTuner calls them
    values: dict
    score: float | None
    path: Path
    notes: dict = field(default_factory=dict)
    curve: tuple = ()  # (epoch from 1, objective)

    @property
    def run(self) -> Run:
        """The trial's `Run`; only for one whose folder is on this machine."""
        return Run(self.path)

    @functools.cached_property
    def model(self) -> "keras.Model":
        """The trial's model at its best epoch; loaded at the first use."""
        return self.run.model


class Search:
    """A read-only view of the folder that a search left behind.

    Args:
        path: the search's folder, such as `searches/digits`.

    Attributes:
        path: the folder, a `pathlib.Path`.
        config: the config with its search space, a dict.
        settings: the `search:` section, every default written out.
        state: running, done, stopped or failed; `message` says why.
        spaces: the searched values; each has a `name` and a `spec`.
        trials: the trials in the order of their ids.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._asked = read(self.path)
        self.config, self.settings = self._asked["config"], self._asked["settings"]

    def __repr__(self):
        done = sum(trial.status == "COMPLETED" for trial in self.trials)
        said = f"{self.state}, {done} of {len(self.trials)} trials completed"
        if self.best is not None:
            said += f", best {self.objective} {self.best.score:.4g} in trial "
            said += self.best.trial_id
        return f"<Search {self.path.name}: {said}>"

    @property
    def state(self) -> str:
        return self._asked["state"]

    @property
    def message(self) -> str:
        return self._asked.get("message", "")

    @property
    def environment(self) -> dict:
        return self._asked["environment"]

    @property
    def relative_to(self) -> str | None:
        """The folder that paths in the config are relative to."""
        return self._asked.get("relative_to")

    @property
    def seconds(self) -> float:
        """How long the search took, including what came before a resume."""
        return self._asked.get("seconds", 0.0)

    @property
    def objective(self) -> str:
        return self.settings["objective"]

    @property
    def maximise(self) -> bool:
        direction = self.settings["direction"]
        if direction == "auto":
            return higher_is_better(self.objective)
        return direction == "max"

    @functools.cached_property
    def spaces(self) -> list:
        return whole_space(Document(self.config))

    @functools.cached_property
    def trials(self) -> list[TrialView]:
        notes = {}
        oracle = self.path / "oracle.json"
        if oracle.exists():
            with told_if_damaged(oracle):
                state = json.loads(oracle.read_text(encoding="utf-8"))
                notes = state.get("dlparts", {}).get("notes", {})
        specs = {space.name: space.spec for space in self.spaces}
        return [
            _trial(path, specs, notes, self.objective)
            for path in sorted(self.path.glob("trial_*/trial.json"), key=_number)
        ]

    @property
    def completed(self) -> list[TrialView]:
        return [t for t in self.trials if t.status == "COMPLETED"]

    @property
    def failed(self) -> list[TrialView]:
        return [t for t in self.trials if t.status == "FAILED"]

    def ranked(self) -> list[TrialView]:
        """The completed trials, the best first."""
        sign = -1 if self.maximise else 1
        return sorted(self.completed, key=lambda t: (sign * t.score, t.trial_id))

    @property
    def best(self) -> TrialView | None:
        """The best trial, or None while none is completed."""
        return next(iter(self.ranked()), None)

    @property
    def best_config(self) -> Path | None:
        """The path of the winner's config, or None."""
        path = self.path / "best" / "config.yaml"
        return path if path.exists() else None

    def records(self) -> list[dict]:
        """A dict for each trial: how it went, and its values.

        The keys are `trial`, `state`, the objective, `epochs`, `seconds`, and the names
        of the searched values. A value that did not count in a trial is not there.
        """
        states = {"COMPLETED": "done", "FAILED": "failed", "RUNNING": "running"}
        return [
            {
                "trial": trial.trial_id,
                "state": states.get(trial.status, trial.status),
                self.objective: trial.score,
                "epochs": trial.notes.get("epochs"),
                "seconds": trial.notes.get("seconds"),
                **trial.values,
            }
            for trial in self.trials
        ]

    def trials_dataframe(self) -> "pandas.DataFrame":
        """`records()` as a pandas DataFrame, a row a trial. Needs pandas."""
        return dataframe(self.records())

    def _repr_html_(self):
        from keras_dlparts.report import notebook

        return notebook.of_search(self)

    @property
    def steps_saved(self) -> int:
        """Training steps that the median rule saved."""
        return sum(t.notes.get("steps_saved", 0) for t in self.trials)


def _number(path):
    name = path.parent.name.removeprefix("trial_")
    return (int(name), name) if name.isdigit() else (math.inf, name)


def _trial(path, specs, notes, objective):
    with told_if_damaged(path):
        return _read_trial(path, specs, notes, objective)


def _read_trial(path, specs, notes, objective):
    state = json.loads(path.read_text(encoding="utf-8"))
    values = {
        name: shown_value(specs[name], value) if name in specs else value
        for name, value in state["hyperparameters"]["values"].items()
    }
    seen = state["metrics"]["metrics"].get(objective, {}).get("observations", [])
    curve = tuple((o["step"] + 1, sum(o["value"]) / len(o["value"])) for o in seen)
    trial_id = state["trial_id"]
    about = notes.get(trial_id, {})
    score = state["score"]
    return TrialView(
        trial_id, state["status"], values, score, path.parent, about, curve
    )
