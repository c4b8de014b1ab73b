"""One trial: a run directory made of the values that an oracle proposed."""

import contextlib
import dataclasses
import json
import math
import shutil
import time
import traceback
import zipfile

import keras
import yaml

from keras_dlparts.config.construct import construct
from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.config.experiment import settled
from keras_dlparts.config.parts import written
from keras_dlparts.runs import BOOKKEEPING
from keras_dlparts.searching import tensorboard
from keras_dlparts.searching.oracles import direction_of
from keras_dlparts.searching.space import chooser
from keras_dlparts.training import folder as run_folder
from keras_dlparts.training.log import NonFiniteError
from keras_dlparts.training.loop import carry_out

_SECONDS_IDLE = 0.5  # until a worker asks again


def work(oracle, trials, worker, once=False):
    """Ask for trials and run them, until there are no more.

    Args:
        oracle: an oracle, or the client of one.
        trials: a `Trials`.
        worker: the id under which to ask.
        once: run one trial only.

    Returns: whether there may be more.
    """
    while True:
        trial = oracle.create_trial(worker)
        if trial.status == "STOPPED":
            return False
        if trial.status == "IDLE":  # Hyperband waits for the others of a round
            time.sleep(_SECONDS_IDLE)
            continue
        trials.run(trial, oracle, worker)
        if once:
            return True


class Trials:
    """Runs the trials of one search in this process.

    Args:
        folder: the search's folder.
        document, given: the config, opened.
        spaces: its whole search space.
        settings: its `search:` section, resolved.
        on_epoch: called as `on_epoch(trial_id, epoch, epochs, metrics)`.
    """

    def __init__(self, folder, document, given, spaces, settings, on_epoch=None):
        self.folder, self.document, self.given = folder, document, given
        self.spaces, self.settings = spaces, settings
        self.on_epoch = on_epoch or (lambda *_: None)
        self.data, self.data_name = None, None

    def path(self, trial_id):
        return self.folder / f"trial_{trial_id}"

    def run(self, trial, oracle, worker):
        """Train what a trial proposes and tell the oracle how it went.

        A failure is the trial's own and is told, not raised; an objective that no
        config of the space can have is a ConfigError.
        """
        path = self.path(trial.trial_id)
        path.mkdir(parents=True, exist_ok=True)
        started, notes = time.time(), {"worker": worker}
        try:
            notes |= self._train(trial, path, oracle)
        except Exception as error:
            error = _blame(error)
            text = "".join(traceback.format_exception(error))
            run_folder.write_text(path / "traceback.txt", text)
            reason = str(error) or type(error).__name__
            if not isinstance(error, ConfigError | NonFiniteError):
                reason = f"{type(error).__name__}: {reason}"
            if not (path / "status.json").exists():
                status = {"state": "failed", "message": reason}
                run_folder.write_json(path / "status.json", status)
            notes |= {"reason": reason, "seconds": round(time.time() - started, 2)}
            if isinstance(error, _NoObjective):
                notes["fatal"] = reason
            oracle.finish(trial, "FAILED", text, **notes)
            if isinstance(error, _NoObjective):
                raise
        else:
            notes["seconds"] = round(time.time() - started, 2)
            oracle.finish(trial, "COMPLETED", **notes)

    def _train(self, trial, path, oracle):
        keras.backend.clear_session()  # what the last trial left, its memory too
        for old in ("status.json", "traceback.txt"):
            with contextlib.suppress(FileNotFoundError):
                (path / old).unlink()
        values = trial.hyperparameters.values
        experiment = settled(self.document, self.given, chooser(values))
        options = experiment.settings
        if "tuner/epochs" in values:
            options.fit.epochs = int(values["tuner/epochs"])
        if options.best.monitor is None:  # the epoch that is scored is the one kept
            options.best.monitor = self.settings.objective
            options.best.mode = direction_of(self.settings)
        watcher = _Watcher(oracle, trial, self.settings.objective, self.on_epoch)

        def place(resolved):
            self._prepare(path, experiment, resolved, values.get("tuner/trial_id"))
            tensorboard.begin(path, trial.trial_id, self.spaces, values)
            return path

        run = carry_out(
            experiment,
            place,
            lambda line: None,
            data=self._data(experiment),
            watchers=[watcher],
            bars=False,
        )
        tensorboard.end(path)
        watcher.tell_missing(run.history)
        done, asked = len(run.history["epoch"]), options.fit.epochs
        notes = {"epochs": done, "asked": asked}
        if watcher.hopeless:
            notes["steps_saved"] = (asked - done) * watcher.steps
            message = f"stopped by the median rule after epoch {done} of {asked}"
            run_folder.write_json(
                path / "status.json", {**run.status, "message": message}
            )
        self._keep_less(path)
        return notes

    def _data(self, experiment):
        """The data source; made once for all trials that have the same."""
        name = repr(written(experiment.data))
        if name != self.data_name:
            self.data = None  # before the next is read
            self.data = construct(experiment.document, experiment.data)
            experiment.document.raise_problems()
            self.data_name = name
        return self.data

    def _prepare(self, path, experiment, resolved, past):
        """Make a trial's folder a run's, one to go on with where there is one."""
        if _is_of(path, resolved):
            return
        for old in path.iterdir():
            if old.name == "trial.json":
                continue
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        if past is not None and _is_of(self.path(past), resolved):
            # Hyperband goes on with a trial: from its last epoch, to the same weights
            # as in one go.
            for name in ("checkpoints", "history.csv", "best.keras"):
                source = self.path(past) / name
                if source.is_dir():
                    shutil.copytree(source, path / name)
                elif source.exists():
                    shutil.copy2(source, path / name)
        plain = {
            **experiment.document.values,
            "best": experiment.settings.best.model_dump(),
        }
        plain.pop("search", None)
        fit = dict(plain.get("fit", {}))
        plain["fit"] = {**fit, "epochs": experiment.settings.fit.epochs}
        text = yaml.safe_dump(plain, sort_keys=False)
        run_folder.fill(path, text, ".yaml", resolved)

    def _keep_less(self, path):
        """Give KerasTuner its weights file, and drop what only a resume needs."""
        best = path / "best.keras"
        if best.exists():
            with zipfile.ZipFile(best) as archive:
                weights = archive.read("model.weights.h5")
            (path / "checkpoint.weights.h5").write_bytes(weights)
        if self.settings.algorithm != "hyperband":
            shutil.rmtree(path / "checkpoints", ignore_errors=True)


def _is_of(path, resolved):
    """Whether a folder holds a run of this config, up to its number of epochs."""
    there = run_folder.read_resolved(path)
    if there is None:
        return False
    # As a file says it: a tuple is a list there.
    resolved = yaml.safe_load(yaml.safe_dump(resolved))
    return run_folder.comparable(there) == run_folder.comparable(resolved)


class _NoObjective(ConfigError):
    """The objective is no column of the history, whatever is tried."""


def _blame(error):
    """`best.monitor` was set to the objective, so what is wrong with it is that."""
    problems = getattr(error, "problems", ())
    if not any(problem.path == "best.monitor" for problem in problems):
        return error
    moved = [
        dataclasses.replace(problem, path="search.objective") for problem in problems
    ]
    return _NoObjective(moved)


class _Watcher(keras.callbacks.Callback):
    """Tells the oracle of each epoch, and stops what the oracle finds hopeless."""

    def __init__(self, oracle, trial, objective, on_epoch):
        super().__init__()
        self.oracle, self.trial, self.objective = oracle, trial, objective
        self.on_epoch = on_epoch
        self.told, self.hopeless, self.steps = set(), False, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        self.on_epoch(self.trial.trial_id, epoch + 1, self.params["epochs"], logs)
        if self.tell(epoch, logs):
            self.hopeless = self.model.stop_training = True

    def tell(self, epoch, metrics):
        """Report an epoch; whether the trial is hopeless after it."""
        metrics = {
            name: float(value)
            for name, value in metrics.items()
            if name not in BOOKKEEPING and math.isfinite(value)
        }
        if self.objective not in metrics:  # an epoch without validation
            return False
        self.told.add(epoch)
        reply = self.oracle.update_trial(self.trial.trial_id, metrics, step=epoch)
        return reply.status == "STOPPED"

    def tell_missing(self, history):
        """Report the epochs that were trained before this process, or not told."""
        for epoch in range(len(history["epoch"])):
            if epoch not in self.told:
                self.tell(epoch, {name: row[epoch] for name, row in history.items()})
        if not self.told:
            known = [name for name in history if name not in BOOKKEEPING]
            raise no_objective(self.objective, known)


def no_objective(objective, known):
    message = f"no column of the history. Received: {objective!r}; "
    message += f"accepted: {', '.join(known)}"
    return _NoObjective([Problem("", (), "search.objective", message)])


def read_json(path):
    """A JSON file's value, or None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
