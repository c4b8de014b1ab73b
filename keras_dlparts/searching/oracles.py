"""KerasTuner's four oracles, kept on disk so that no finished trial is lost.

An oracle proposes values and keeps the results. What ours do otherwise:

- files are written whole or not at all, and a kill between two of them is repaired;
- the grid goes on after a reload, where KerasTuner's would stop;
- an epoch that is reported twice counts once;
- a trial's values stay those that were proposed, whatever a worker sends back;
- `seed: 0` is a seed like any other;
- a trial can be stopped by the median rule;
- a full disk ends the search, with the files as a kill would leave them.
"""

import copy
import functools
import json
import shutil
import threading
import warnings
from pathlib import Path

from keras_dlparts.runs import higher_is_better
from keras_dlparts.searching import kerastuner, median_rule
from keras_dlparts.searching.errors import told_if_damaged
from keras_dlparts.searching.space import declare
from keras_dlparts.support.files import DiskFull, room, write_json

ENDED = ("COMPLETED", "FAILED")


def make_oracle(folder, spaces, settings, epochs):
    """The oracle of a search, with what an earlier search left in the folder.

    Args:
        folder: the search's folder, a `Path`.
        spaces: the whole search space.
        settings: the config's `search:` section.
        epochs: the config's `fit.epochs`; Hyperband divides them.
    """
    kt = kerastuner.load()
    direction = direction_of(settings)
    arguments = {
        "objective": kt.Objective(settings.objective, direction),
        "hyperparameters": declare(spaces, kt.HyperParameters()),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": settings.seed + 1,  # KerasTuner takes 0 for no seed
        "max_retries_per_trial": 0,
        "max_consecutive_failed_trials": None,  # failing trials do not end a search
    }
    if settings.algorithm == "hyperband":
        arguments |= {"max_epochs": epochs, "factor": settings.factor}
    oracle = _class(settings.algorithm)(**arguments)
    oracle.max_trials = settings.trials
    oracle.verbose = 0
    oracle.expected = settings.trials
    if settings.algorithm == "hyperband":
        count = sum(kerastuner.hyperband_sizes(oracle))
        oracle.expected = min(count, settings.trials or count)
    oracle.begin(folder, settings)
    return oracle


def direction_of(settings):
    """Whether the objective is to be pushed up ("max") or down ("min")."""
    if settings.direction != "auto":
        return settings.direction
    return "max" if higher_is_better(settings.objective) else "min"


def keep_the_scored(best, settings):
    """Let a run keep the epoch that is scored, where its config names no other.

    Args:
        best: the `best:` section of the run's config, changed in place.
        settings: the `search:` section.
    """
    if best.monitor is None:
        best.monitor, best.mode = settings.objective, direction_of(settings)


@functools.cache
def _class(algorithm):
    oracles = kerastuner.load().oracles
    base = {
        "random": oracles.RandomSearchOracle,
        "bayesian": oracles.BayesianOptimizationOracle,
        "hyperband": oracles.HyperbandOracle,
        "grid": oracles.GridSearchOracle,
    }[algorithm]
    ours = (_Grid, _Oracle) if algorithm == "grid" else (_Oracle,)
    return type(base.__name__, (*ours, base), {})


def _locked(method):
    @functools.wraps(method)
    def locked(self, *args, **kwargs):
        with self.lock:
            self.check_room()
            result = method(self, *args, **kwargs)
            self.check_room()
            return result

    return locked


class _Oracle(kerastuner.SavesTrials):
    """What all of our oracles add to KerasTuner's."""

    def begin(self, folder, settings):
        self.lock = threading.RLock()
        self.folder, self.settings = Path(folder), settings
        self.full = None  # the DiskFull that kept a file from being written
        self.exhausted = False  # whether the last request found nothing to try
        self.notes = {}  # {trial id: what the report says of it}
        kerastuner.set_folder(self, self.folder)
        if (self.folder / "oracle.json").exists():
            self.reload()
            self._repair()
            self.max_trials = settings.trials
        self.save()

    def reload(self):
        for path in sorted(self.folder.glob("trial_*/trial.json")):
            with told_if_damaged(path):
                trial = kerastuner.trial_class().load(str(path))
            self.trials[trial.trial_id] = trial
        path = self.folder / "oracle.json"
        with told_if_damaged(path):
            self.set_state(json.loads(path.read_text(encoding="utf-8")))

    def _repair(self):
        """Mend what a kill between two files left behind."""
        ongoing = [trial.trial_id for trial in self.ongoing_trials.values()]
        waiting = kerastuner.waiting(self)
        again = dict.fromkeys([*waiting, *ongoing])
        self.ongoing_trials = {}
        for trial_id in [*self.trials]:
            if trial_id not in self.start_order:  # only its first file was written
                shutil.rmtree(self.folder / f"trial_{trial_id}")
                del self.trials[trial_id]
        for trial in self.trials.values():
            if trial.status in ENDED and trial.trial_id not in self.end_order:
                self.end_order.append(trial.trial_id)
        waiting[:] = [
            trial_id
            for trial_id in again
            if trial_id in self.trials and self.trials[trial_id].status not in ENDED
        ]

    def get_state(self):
        # KerasTuner ignores keys that it does not know.
        return {**super().get_state(), "dlparts": {"notes": self.notes}}

    def set_state(self, state):
        # KerasTuner looks these ids up in `trials`, where a kill may have left one out.
        ongoing = state["ongoing_trials"].items()
        known = {name: i for name, i in ongoing if i in self.trials}
        super().set_state({**state, "ongoing_trials": known})
        self.notes = state.get("dlparts", {}).get("notes", {})

    def save(self):
        self._write(self.folder / "oracle.json", self.get_state())

    def save_trial(self, trial):
        folder = self.folder / f"trial_{trial.trial_id}"
        self._write(folder / "trial.json", trial.get_state())

    def _write(self, path, value):
        """Write a file, and none after the first that found no room.

        What is thrown within KerasTuner's own methods leaves its lock taken for good,
        so that other threads would wait for ever: `check_room` throws it later.
        """
        if self.full is not None:
            return
        try:
            with room(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, value)
        except DiskFull as error:
            self.full = DiskFull(f"{error}. Make room and go on with --resume")

    def check_room(self):
        """Raise the DiskFull that kept a file from being written, if there was one."""
        if self.full is not None:
            raise self.full

    @_locked
    def create_trial(self, tuner_id):
        trial = super().create_trial(tuner_id)
        self.exhausted = trial.status == "STOPPED"
        return trial

    def populate_space(self, trial_id):
        # scikit-learn warns of how its Gaussian process was fitted.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return super().populate_space(trial_id)

    @_locked
    def update_trial(self, trial_id, metrics, step=0):
        """Note an epoch; the status of the reply is STOPPED for a hopeless trial."""
        trial = self.trials[trial_id]
        if trial.status in ENDED:
            return trial
        known = trial.metrics
        objective = self.objective.name
        for name in metrics:
            if not known.exists(name):
                up = self.objective.direction == "max"
                up = up if name == objective else higher_is_better(name)
                known.register(name, direction="max" if up else "min")
        told = known.exists(objective) and any(
            seen.step == step for seen in known.get_history(objective)
        )
        if not told:
            super().update_trial(trial_id, metrics, step=step)
        if self.settings.median_rule and self._is_hopeless(trial, step):
            trial = copy.copy(trial)
            trial.status = "STOPPED"
        return trial

    def _is_hopeless(self, trial, step):
        settings, name = self.settings, self.objective.name
        if step + 1 < settings.grace_epochs:
            return False
        others = [t for t in self.trials.values() if t.status == "COMPLETED"]
        return median_rule.is_hopeless(
            trial.metrics.get_best_value(name),
            [_curve(other, name) for other in others if other is not trial],
            step,
            self.objective.direction == "max",
            settings.startup_trials,
        )

    @_locked
    def end_trial(self, trial):
        # A copy that came from a worker has lost the order of the space.
        trial.hyperparameters = self.trials[trial.trial_id].hyperparameters
        super().end_trial(trial)

    @_locked
    def finish(self, trial, status, message=None, **notes):
        """End a trial, and keep notes on it for the report."""
        if self.trials[trial.trial_id].status in ENDED:
            return  # another worker has finished it meanwhile
        self.note(trial.trial_id, **notes)
        ended = copy.copy(trial)
        ended.status, ended.message = status, message
        self.end_trial(ended)

    @_locked
    def note(self, trial_id, **notes):
        self.notes[trial_id] = {**self.notes.get(trial_id, {}), **notes}

    @_locked
    def adopt(self, trial, source):
        """Take up a trial that another search finished."""
        self.trials[trial.trial_id] = trial
        self.start_order.append(trial.trial_id)
        self.end_order.append(trial.trial_id)
        kerastuner.note_tried(self, trial)
        self.save_trial(trial)
        self.note(trial.trial_id, taken_from=source)

    @_locked
    def release(self, tuner_id):
        """Take a trial from a worker that is gone, for the next that asks."""
        trial = self.ongoing_trials.pop(tuner_id, None)
        self.tuner_ids.discard(tuner_id)
        if trial is not None:
            kerastuner.waiting(self).append(trial.trial_id)
            self.save()
        return trial

    @_locked
    def has_more(self):
        """Whether a worker that asks might be given a trial."""
        if kerastuner.waiting(self):
            return True
        all_made = self.max_trials and len(self.trials) >= self.max_trials
        return not (all_made or self.exhausted)

    @_locked
    def is_over(self):
        return not self.has_more() and not self.ongoing_trials


def _curve(trial, name):
    """[(step, value)] of a metric of a trial."""
    return [(one.step, one.mean()) for one in trial.metrics.get_history(name)]


class _Grid:
    """The grid's place in it is saved; KerasTuner's own forgets it."""

    def get_state(self):
        return {**super().get_state(), "dlparts_grid": kerastuner.grid_order(self)}

    def set_state(self, state):
        super().set_state(state)
        kerastuner.set_grid_order(self, state["dlparts_grid"])

    def _repair(self):
        super()._repair()
        sources = [*self.start_order[:1], *self.end_order]
        kerastuner.set_grid_sources(self, sources)
