"""A training, phase by phase: what trains a config does so through a session.

    prepare    make data, model and callbacks, adapt the model, share it among devices
    restore    pre-train, or take up the newest checkpoint of the run's folder
    fit        Keras' `fit`, from where the run stands
    end        write the run's last files, and say in status.json how it ended; after a
               NaN, what first went bad (`nonfinite.py`)

`train` and the trials of a search go through all of them, in a folder. KerasTuner's
users and the studies in `examples/` have no folder: for them `restore` pre-trains,
nothing is written, and nothing is diagnosed. The weights are the same with and without.
"""

import contextlib
import threading

import keras

from keras_dlparts import backend, report
from keras_dlparts.config.assemble import Assembled, assemble, made_without_model
from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.config.watching import blame, hand_over
from keras_dlparts.data.batches import JoinedBatches
from keras_dlparts.data.passes import Replayed
from keras_dlparts.distribute import shares
from keras_dlparts.runs import Run
from keras_dlparts.support.files import DiskFull, sweep
from keras_dlparts.training import (
    chunks,
    nonfinite,
    own_model,
    pretraining,
    resuming,
    same_data,
)
from keras_dlparts.training.checkpoint import Checkpoints, restore
from keras_dlparts.training.errors import NonFiniteError
from keras_dlparts.training.feed import Feed, Waiting
from keras_dlparts.training.log import RunLog, save_model
from keras_dlparts.training.look import with_figures
from keras_dlparts.training.progress import Progress
from keras_dlparts.training.sharing import Sharing

# Seeds, names of layers and the dtype policy belong to the process: of two trainings at
# once each would change what the other draws.
_TRAINING = threading.Lock()


class Session:
    """One training of one config. Use it in a `with` statement.

    Args:
        experiment: A checked config.
        say: Called with each line of news.
        data: The config's data source, where it was made before.
        model: A model that was assembled from the config before; None to make one.

    Attributes:
        made: The data, the model and the callbacks, after `prepare`.
        sharing: The devices, after `prepare`.

    Raises:
        RuntimeError: another training is under way in this process.
    """

    def __init__(self, experiment, say=None, data=None, model=None):
        self.experiment, self.settings = experiment, experiment.settings
        self.say = say or (lambda line: None)
        self._data, self._model = data, model
        self.made = self.path = self.log = self.saved = None

    def __enter__(self):
        if not _TRAINING.acquire(blocking=False):
            raise RuntimeError(
                "A process trains one config at a time: its random seeds are shared. "
                "Received: a second training, while one is under way. Wait for the "
                "first to end, or start a process for each"
            )
        return self

    def __exit__(self, *exception):
        try:
            if self.made is not None and self.experiment.own_model is not None:
                own_model.give_back(self.made.model, self._steps_before)
        finally:
            _TRAINING.release()

    def prepare(self):
        """Make what the config names, ready to train; nothing is written."""
        experiment, settings = self.experiment, self.settings
        if experiment.data is None:
            message = "`data:` is missing; training needs a data source"
            raise ConfigError([Problem(experiment.document.name, (), "", message)])
        _warn_of_versions(experiment, self.say)
        if settings.deterministic:
            backend.make_deterministic()
        self.sharing = sharing = Sharing(experiment, self.say)
        with sharing.scope():
            if self._model is None:
                self.made = assemble(experiment, self._data, sharing.steps)
            else:
                data, callbacks, *_ = made_without_model(
                    experiment, self._data, sharing.steps
                )
                self.made = Assembled(data, self._model, callbacks)
            self._steps_before = self.made.model.steps_per_execution
            if experiment.own_model is not None:
                own_model.look_at(self.made.model, self.say)
                backend.build_optimizer(self.made.model)
            pretraining.check(experiment, self.made)
            sharing.prepare(self.made)
        for note in self.made.notes:
            self.say(str(note))
        # They may change the optimizer, whose variables a checkpoint holds.
        hand_over(experiment.document, self.made, sharing.scope)
        return self.made

    def restore(self, path=None):
        """Bring the model to where the run in a folder stands; a new one to its begin.

        Args:
            path: The run's folder, or None.
        """
        settings, made, say = self.settings, self.made, self.say
        if path is not None:
            self._open(path)
        with self.sharing.scope():
            backend.build_optimizer(made.model)
        if self.saved is None:
            self._pretrain()
            if path is not None:
                self.checkpoints.save(0, made.model, made.callbacks)
            return
        manifest = self.saved[0]
        if not (manifest["epoch"] or manifest["step"]):
            # What callbacks do to a model as training begins, such as to size its
            # weights, comes after this, as it did.
            with self.sharing.scope():
                restore(self.saved, made.model, made.callbacks)
        within = f", step {manifest['step']} of the next" if manifest["step"] else ""
        done = f"after epoch {manifest['epoch']} of {settings.fit.epochs}{within}"
        say(f"resuming {path} {done}")
        if not settings.deterministic:
            say("`deterministic: false`: the weights may end a little apart")

    def _open(self, path):
        """Find what a run's folder holds; a run of other data is left as it is."""
        made, noted = self.made, same_data.described(self.made.data)
        openings = getattr(made.data.train, "openings", ())
        checkpoints = Checkpoints(path / "checkpoints", self.say, noted, openings)
        for folder in (path, checkpoints.folder):
            sweep(folder)
        self.saved = checkpoints.newest()
        if self.saved is not None:
            self._check_data(path, self.saved[0]["data"], noted)
            fit = self.settings.fit
            fit.epochs = max(fit.epochs, self.saved[0]["epoch"])  # what is done stays
        validates = made.data.validation is not None
        log = RunLog(path, checkpoints, self.settings, made.callbacks, validates)
        log.go_on_from({"epoch": 0, "step": 0} if self.saved is None else self.saved[0])
        self.path, self.checkpoints, self.log = path, checkpoints, log

    def _pretrain(self):
        if self.settings.pretrain.epochs:
            if self.log is not None:
                self.log.status("running", "pre-training")
            with self.sharing.scope():
                pretraining.run(
                    self.settings, self.made, self.path, self.say, self.sharing.train
                )

    def _check_data(self, path, before, now):
        """Refuse to go on with other data than the run began with."""
        changed = before is not None and same_data.difference(before, now)
        if changed:
            self.experiment.document.problem(
                ("data",),
                f"it has changed since {path} was stopped: {changed}. Put the data "
                "back as it was, or train anew without --resume",
            )
            self.experiment.document.raise_problems()

    def fit(self, watchers=(), bars=False, **more):
        """Train, from where the run stands.

        Args:
            watchers: Callbacks that see each epoch after it was written down.
            bars: Whether progress is shown.
            **more: Further arguments of Keras' `fit`, in place of the config's.

        Returns: what Keras' `fit` returns; None where nothing was left to do.
        """
        settings, sharing, log = self.settings, self.sharing, self.log
        model, data = self.made.model, self.made.data
        start, done, stopped = 0, 0, False
        if self.saved is not None:
            manifest = self.saved[0]
            start, done = manifest["epoch"], manifest["step"]
            stopped = manifest["stopped"]
            if start < settings.fit.epochs and not stopped:
                self._replay(manifest)
        if log is not None:
            log.status("running")
        self.steps = steps = self._steps_a_call()
        waiting = Waiting() if log is None else log.waiting
        items = chunks.prepared(model, sharing.train(data.train, waiting), steps)
        an_item = steps if isinstance(items, JoinedBatches) else 1
        if isinstance(items, keras.utils.PyDataset):
            if done:
                first = done // an_item
                items = resuming.Rest(items, data.train, start, first)
            items = Feed(items, waiting, an_item)
        callbacks = [_Epoch(settings.seed, data.train), *self.made.callbacks]
        callbacks += [*([] if log is None else [log]), *watchers]
        progress = Progress()
        if bars:
            callbacks.append(progress)
        if start or done:
            callbacks.append(resuming.Restore(self.saved, self.made.callbacks))
        if done:
            resuming.skip_calls(model, done // steps, steps // an_item)
            callbacks = resuming.FromStep(
                callbacks,
                self.saved,
                model=model,
                epochs=settings.fit.epochs,
                steps=shares.steps(items),
            )
        if start >= settings.fit.epochs or stopped:
            restore(self.saved, model, self.made.callbacks)
            return None
        given = {
            "validation_data": sharing.validation(data.validation),
            "initial_epoch": start,
            "callbacks": callbacks,
            "shuffle": False,
            "verbose": 0,
            **sharing.fit_arguments(settings.fit.arguments()),
        }
        for callback in self.made.callbacks:
            if callable(getattr(callback, "set_validation", None)):
                callback.set_validation(given["validation_data"])
        try:
            return model.fit(items, **given | more)
        except Exception as error:
            blame(self.experiment.document, self.made.callbacks, error)
            raise
        finally:
            progress.close()

    def _replay(self, manifest):
        """Bring data that is passed through to the epoch where the run stands."""
        batches, seed = self.made.data.train, self.settings.seed
        if not isinstance(batches, Replayed):
            return

        def tell(epoch):
            self.say(
                f"the data does not come as it did: epoch {epoch + 1} begins with "
                "another batch. The run goes on, and does not end with the weights of "
                "one that was never stopped. Seed what shuffles or augments the data"
            )

        batches.replay(
            manifest["epoch"],
            manifest["openings"],
            lambda epoch: backend.seed_globals(seed, epoch),
            tell,
        )

    def _steps_a_call(self):
        """How many steps a call of the training function takes."""
        settings, made = self.settings, self.made
        steps, every = (
            settings.compile.steps_per_execution,
            settings.fit.checkpoint_every,
        )
        own, before = self.experiment.own_model is not None, self._steps_before
        if steps == "auto" and own and before > 1:  # the user has compiled it so
            steps = min(before, every or before)
        elif steps == "auto":
            steps = chunks.steps_a_call(made.model, made.data.train, made.callbacks)
            steps = min(steps, every or steps)
        if self.saved is not None and self.saved[0]["step"]:
            # The rest of an epoch is cut into calls as its beginning was: another
            # number of steps a call may change the last bits.
            steps = min(self.saved[0]["steps_a_call"], every or steps)
            while self.saved[0]["step"] % steps:
                steps -= 1
        return steps

    def end(self, error=None):
        """Write the last files of a run, and how it ended into its status.json.

        Args:
            error: What ended it early; None where the training was done.

        Returns: the exception to raise in place of `error`; None for none.
        """
        if error is None:
            save_model(self.made.model, self.path / "last.keras")
            self.log.status("done")
            return None
        if self.log is None:  # it ended before there was anything to note it in
            return error
        if isinstance(error, NonFiniteError):
            # A look takes a while: this is what a kill leaves.
            self._note(NonFiniteError(f"{error}; the look for its cause was cut short"))
            error = NonFiniteError(nonfinite.diagnosed(self, error))
        if isinstance(error, DiskFull):
            error = DiskFull(self._what_is_left(error))
        self._note(error)
        try:
            self.report()
        except Exception as failure:  # the run's own error stays the one that is told
            said = f"{type(failure).__name__}: {failure}"
            self.say(f"the report could not be written: {said}")
        return error

    def report(self):
        """Write the run's report."""
        report.write(Run(self.path), with_figures(self.made.model, self.made.callbacks))

    def _note(self, error):
        """Write into status.json what ended a run, where there is room for it."""
        state, message = "failed", f"{type(error).__name__}: {error}"
        if isinstance(error, KeyboardInterrupt):
            state, message = "stopped", "stopped by hand; --resume continues"
        if isinstance(error, NonFiniteError):
            message = str(error)
        with contextlib.suppress(OSError):  # the exception itself is told
            self.log.status(state, message)

    def _what_is_left(self, error):
        """What a full disk did, and how to go on."""
        kept = [path.name for path in self.checkpoints.paths()]
        whole = "no checkpoint yet"
        if kept:
            whole = f"the last whole checkpoint is {kept[-1]}"
        return f"{error}. Training stopped; {whole}. Make room and go on with --resume"


class _Epoch(keras.callbacks.Callback):
    """Seeds what an epoch draws by (seed, epoch), so that it can be run again."""

    def __init__(self, seed, batches):
        super().__init__()
        self.seed, self.batches = seed, batches

    def on_epoch_begin(self, epoch, logs=None):
        # First the seeds: data that draws its order from them does so when it begins.
        backend.seed_globals(self.seed, epoch)
        self.batches.epoch = epoch


def _warn_of_versions(experiment, say):
    """Say where a resolved config was made with other versions than these."""
    wanted = experiment.settings.versions
    running = experiment.resolved()["versions"]
    for name, version in wanted.items():
        if running.get(name) != version:
            here = running.get(name, "not in use")
            say(f"the config was resolved with {name} {version}; here it is {here}")
