"""One trial: a run directory made of the values that an oracle proposed."""

import contextlib
import shutil
import time
import traceback
import zipfile

import keras
import yaml

from keras_dlparts.config.calls import written
from keras_dlparts.config.errors import ConfigError
from keras_dlparts.config.experiment import settled
from keras_dlparts.searching import tensorboard
from keras_dlparts.searching.objective import NoObjective, Watcher, blamed
from keras_dlparts.searching.oracles import keep_the_scored
from keras_dlparts.searching.request import made_data
from keras_dlparts.searching.space import chooser
from keras_dlparts.support.files import DiskFull, room, write_json, write_text
from keras_dlparts.training import folder as run_folder
from keras_dlparts.training.errors import NonFiniteError
from keras_dlparts.training.loop import carry_out

_SECONDS_IDLE = 0.5  # before a worker without a trial asks again


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
        config of the space can have is a ConfigError. After a DiskFull the trial is
        still to be finished.
        """
        path = self.path(trial.trial_id)
        path.mkdir(parents=True, exist_ok=True)
        started, notes = time.time(), {"worker": worker}
        try:
            with room(path):
                notes |= self._train(trial, path, oracle)
        except DiskFull:  # the next trial would meet it too
            raise
        except Exception as error:
            error = blamed(error)
            text = "".join(traceback.format_exception(error))
            write_text(path / "traceback.txt", text)
            reason = str(error) or type(error).__name__
            if not isinstance(error, ConfigError | NonFiniteError):
                reason = f"{type(error).__name__}: {reason}"
            if not (path / "status.json").exists():
                status = {"state": "failed", "message": reason}
                write_json(path / "status.json", status)
            notes |= {"reason": reason, "seconds": round(time.time() - started, 2)}
            if isinstance(error, NoObjective):
                notes["fatal"] = reason
            oracle.finish(trial, "FAILED", text, **notes)
            if isinstance(error, NoObjective):
                raise
        else:
            notes["seconds"] = round(time.time() - started, 2)
            oracle.finish(trial, "COMPLETED", **notes)

    def _train(self, trial, path, oracle):
        keras.backend.clear_session()  # frees what the last trial left
        for old in ("status.json", "traceback.txt"):
            with contextlib.suppress(FileNotFoundError):
                (path / old).unlink()
        values = trial.hyperparameters.values
        experiment = settled(self.document, self.given, chooser(values))
        options = experiment.settings
        if "tuner/epochs" in values:
            options.fit.epochs = int(values["tuner/epochs"])
        keep_the_scored(options.best, self.settings)
        watcher = Watcher(oracle, trial, self.settings.objective, self.on_epoch)

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
            write_json(path / "status.json", {**run.status, "message": message})
        self._keep_less(path)
        return notes

    def _data(self, experiment):
        """The data source; made once for all trials that have the same."""
        name = repr((written(experiment.data), experiment.settings.seed))
        if name != self.data_name:
            self.data = None  # so that two are never in memory
            self.data, self.data_name = made_data(experiment), name
        return self.data

    def _prepare(self, path, experiment, resolved, past):
        """Make a trial's folder a run's folder, unless it holds a run to go on with."""
        if _is_of(path, resolved):
            return
        for old in path.iterdir():
            if old.name == "trial.json":
                continue
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        if past is not None and _is_of(self.path(past), resolved):
            # Hyperband trains a promoted trial on: from the last epoch of the earlier
            # one, to the weights that one long training would have.
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
        run_folder.fill(path, text, ".yaml", resolved, self.given)

    def _keep_less(self, path):
        """Write the weights file that KerasTuner expects, and drop the checkpoints."""
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
    # Through YAML and back, where a tuple becomes a list, as in the file.
    resolved = yaml.safe_load(yaml.safe_dump(resolved))
    return run_folder.comparable(there) == run_folder.comparable(resolved)
