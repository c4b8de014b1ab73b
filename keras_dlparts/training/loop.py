"""A config -> `fit` -> a run directory that can be repeated, resumed and looked at."""

import contextlib

import keras
import numpy as np

from keras_dlparts import backend, graphs, report
from keras_dlparts.backend import feeding
from keras_dlparts.config.assemble import assemble
from keras_dlparts.config.construct import own_words
from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.config.experiment import load
from keras_dlparts.data.batches import JoinedBatches
from keras_dlparts.distribute import shares
from keras_dlparts.runs import Run
from keras_dlparts.support import progress
from keras_dlparts.support.files import DiskFull, sweep
from keras_dlparts.training import chunks, pretraining, several
from keras_dlparts.training import folder as run_folder
from keras_dlparts.training.checkpoint import Checkpoints, restore, restore_generators
from keras_dlparts.training.feed import Feed
from keras_dlparts.training.log import NonFiniteError, RunLog, save_model
from keras_dlparts.training.nonfinite import first_bad
from keras_dlparts.training.progress import Progress
from keras_dlparts.training.resuming import FromStep, Restore
from keras_dlparts.training.sharing import Sharing


class _Epoch(keras.callbacks.Callback):
    """Keys what an epoch draws by (seed, epoch), so that it can be run again."""

    def __init__(self, seed, batches):
        super().__init__()
        self.seed, self.batches = seed, batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch
        backend.seed_globals(self.seed, epoch)


def train(config, sets=(), out="runs", resume=False, epochs=None, verbose="auto"):
    """Train what a config describes, in a run directory under `out`.

    Args:
        config: path of a YAML, TOML or JSON file, or the dict itself.
        sets: texts such as `"optimizer.learning_rate=3e-4"` that override it.
        out: the folder that holds the runs.
        resume: go on with the newest run of this config under `out`, if there is
            one, from its last checkpoint, to the same final weights as a run that
            was never stopped.
        epochs: overrides `fit.epochs`; a resumed run can be made longer.
        verbose: `"auto"` or 1 to report progress on standard error, 0 for silence.

    Returns: a `Run`.

    Raises:
        ConfigError: the config cannot be used; nothing was written.
        NonFiniteError: training met a NaN; the message names the layer.
    """
    say = progress.news(verbose)
    sets = [*sets, *([] if epochs is None else [f"fit.epochs={epochs}"])]
    experiment = load(config, sets)

    def place(resolved):
        path = run_folder.latest(out, resolved) if resume else None
        if resume and path is None:
            say(f"no run of this config under {out} to resume; starting one")
        if path is not None:
            _warn_of_devices(run_folder.read_resolved(path), resolved, say)
        return path or run_folder.create(out, experiment, resolved)

    return carry_out(experiment, place, say, bars=progress.reports(verbose))


def carry_out(experiment, place, say, data=None, watchers=(), bars=True):
    """Train an experiment in the folder that `place(resolved)` names.

    Args:
        experiment: a checked config.
        place: gives the run directory; a run that was stopped there goes on.
        say: called with each line of news.
        data: the config's data source, where it was made before.
        watchers: callbacks that see each epoch after it was written down.
        bars: whether progress is shown.

    Returns: a `Run`.
    """
    settings = experiment.settings
    if experiment.data is None:
        name = experiment.document.name
        message = "`data:` is missing; training needs a data source"
        raise ConfigError([Problem(name, (), "", message)])
    _warn_of_versions(experiment, say)
    if settings.deterministic:
        backend.make_deterministic()
    sharing = Sharing(experiment, say)
    with sharing.scope():
        made = assemble(experiment, data)
        pretraining.check(experiment, made)
        sharing.prepare(made)
    with sharing.fitting():
        adapt(made.model, made.data.train)
        path = several.place(sharing.strategy, lambda: place(experiment.resolved()))
        run_folder.write_json(path / "model.json", model_rows(made.model))
        run = _fit(made, experiment, path, say, watchers, bars, sharing)
        several.leave(sharing.strategy)
        return run


def _fit(made, experiment, path, say, watchers, bars, sharing):
    settings, model, data = experiment.settings, made.model, made.data
    checkpoints = Checkpoints(path / "checkpoints", say)
    for folder in (path, checkpoints.folder):
        sweep(folder)
    epochs, every = settings.fit.epochs, settings.fit.checkpoint_every
    log = RunLog(path, checkpoints, settings.best, epochs, made.callbacks, every)
    for callback in made.callbacks:
        # It may change the optimizer, whose variables a checkpoint holds.
        with sharing.scope():
            callback.set_model(model)
        if callable(getattr(callback, "set_data", None)):  # Keras shows it none
            callback.set_data(data.train)
    with sharing.scope():
        model.optimizer.build(model.trainable_variables)
    saved = checkpoints.newest()
    if saved is None:
        log.go_on_from({"epoch": 0, "step": 0})
        if settings.pretrain.epochs:
            log.status("running", "pre-training")
            try:
                with sharing.scope():
                    pretraining.run(settings, made, path, say, sharing.train)
            except BaseException as error:
                _note_ending(log, error)
                raise
        checkpoints.save(0, model, made.callbacks)
        start, done, stopped = 0, 0, False
    else:
        start, done = saved[0]["epoch"], saved[0]["step"]
        stopped = saved[0]["stopped"]
        log.go_on_from(saved[0])
        within = f", step {done} of the next" if done else ""
        say(f"resuming {path} after epoch {start} of {epochs}{within}")
        if not settings.deterministic:
            say("`deterministic: false`: the weights may end a little apart")
    log.status("running")
    parts = with_figures(model, made.callbacks)
    steps = _steps_a_call(settings, made, saved)
    items = chunks.prepared(model, sharing.train(data.train, log.waiting), steps)
    joined = isinstance(items, JoinedBatches)
    if isinstance(items, keras.utils.PyDataset):
        own = steps if joined else 1
        items = Feed(items, log.waiting, data.train, own, (start, done))
    progress = Progress()
    callbacks = [_Epoch(settings.seed, data.train), *made.callbacks, log, *watchers]
    if bars:
        callbacks.append(progress)
    if saved is not None:
        callbacks.append(Restore(saved, made.callbacks))
    if done:
        backend.skip_calls(model, done // steps, 1 if joined else steps)
        steps_an_epoch = shares.steps(items)
        callbacks = FromStep(
            callbacks, saved, model=model, epochs=epochs, steps=steps_an_epoch
        )
    try:
        if start >= epochs or stopped:
            restore(saved, model, made.callbacks)
        else:
            model.fit(
                items,
                validation_data=sharing.validation(data.validation),
                initial_epoch=start,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
                **sharing.fit_arguments(settings.fit.arguments()),
            )
        progress.close()
        save_model(model, path / "last.keras")
    except BaseException as error:
        progress.close()
        if isinstance(error, NonFiniteError):
            weight = settings.fit.class_weight
            try:
                if sharing.use == "multi_worker":
                    found = _where(error, checkpoints)
                else:
                    found = _explain(error, made, weight, checkpoints, steps)
            except ValueError as told:  # a layer that looks at its data says why
                found = f"{error}: {own_words(told)}"
            error = NonFiniteError(found)
        if isinstance(error, DiskFull):
            error = DiskFull(_what_is_left(error, checkpoints))
        _note_ending(log, error)
        _report_anyway(path, parts, say)
        raise error from error.__cause__
    log.status("done")
    report.write(Run(path), parts)
    return Run(path)


def _steps_a_call(settings, made, saved):
    """How many steps a call of the training function takes."""
    steps, every = settings.compile.steps_per_execution, settings.fit.checkpoint_every
    if steps == "auto":
        steps = chunks.steps_a_call(made.model, made.data.train, made.callbacks)
        steps = min(steps, every or steps)
    if saved is not None and saved[0]["step"]:
        # The rest of an epoch is cut up as its begin was.
        steps = min(saved[0]["steps_a_call"], every or steps)
        while saved[0]["step"] % steps:
            steps -= 1
    return steps


def _ending(error):
    """The state and message that an exception leaves in status.json."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped", "stopped by hand; --resume continues"
    if isinstance(error, NonFiniteError):
        return "failed", str(error)
    return "failed", f"{type(error).__name__}: {error}"


def _note_ending(log, error):
    """Write an exception into status.json, where there is room for it."""
    with contextlib.suppress(DiskFull):  # the exception itself is told
        log.status(*_ending(error))


def _what_is_left(error, checkpoints):
    """What a full disk did, and how to go on."""
    kept = [path.name for path in checkpoints.paths()]
    whole = f"the last whole checkpoint is {kept[-1]}" if kept else "no checkpoint yet"
    return f"{error}. Training stopped; {whole}. Make room and go on with --resume"


def _report_anyway(path, parts, say):
    """Write the report of a run that failed; its own error stays the one told."""
    try:
        report.write(Run(path), parts)
    except Exception as error:
        say(f"the report could not be written: {type(error).__name__}: {error}")


def with_figures(model, callbacks):
    """Everything of a run that may offer `figures(run)`, wrapped layers included."""
    return [*graphs.layers(model, itself=False), *callbacks]


def _where(error, checkpoints):
    """The bad step, where several workers hold what would be looked at."""
    epoch = checkpoints.newest()[0]["epoch"]
    return (
        f"{error} at epoch {epoch + 1}, step {error.step + 1}. Train on one device, by "
        "--distribute none, to be told where it began"
    )


def _explain(error, made, class_weight, checkpoints, steps):
    """Run the bad epoch again up to its bad step, and look at every layer there.

    From a checkpoint within it, where one is from before the step.
    """
    # The loss shows a bad weight one step late, or many where a call runs many.
    suspects = error.step - steps
    saved = checkpoints.newest(lambda manifest: manifest["step"] <= max(0, suspects))
    epoch, model, batches = saved[0]["epoch"], made.model, made.data.train
    restore(saved, model, made.callbacks)
    if saved[0]["step"]:
        restore_generators(saved)
    batches.epoch = epoch
    found = None
    for step in range(saved[0]["step"], min(error.step + 1, len(batches))):
        batch = batches[step]
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        if step >= suspects:
            found = first_bad(model, x, y, weight)
        if found:
            break
        model.train_on_batch(x, y, weight, class_weight=class_weight)
    found = found or first_bad(model, *batches[0][:2])
    where = f"epoch {epoch + 1}, step {step + 1}"
    if found is None:
        return f"{error} at {where}; run again from there, every layer was finite"
    return f"{error} at {where}. What first went bad: {found}"


def adapt(model, batches):
    """Fit the normalising layers to the training data, each after those before it."""
    for layer in model.layers:
        config = layer.get_config()
        given = any(config.get(key) is not None for key in ("mean", "vocabulary"))
        if callable(getattr(layer, "adapt", None)) and not given:
            features = keras.Model(model.input, layer.input)
            order, batches.shuffle = batches.shuffle, False
            layer.adapt(feeding.outputs(features, batches, None))
            batches.shuffle = order


def model_rows(model):
    """The model as a table, a row a layer."""
    calls = {}
    for node in graphs.nodes(model) if graphs.has_graph(model) else []:
        calls.setdefault(id(node.operation), []).append(node)
    rows = []
    for layer in model.layers:
        called = calls.get(id(layer), [])
        first = [*called[0].outputs] if called else []
        rows.append(
            {
                "name": layer.name,
                "class": type(layer).__name__,
                "output_shape": str(first[0].shape) if len(first) == 1 else "",
                "parameters": layer.count_params() if layer.built else 0,
                "trainable": sum(
                    int(np.prod(w.shape)) for w in layer.trainable_weights
                ),
                "from": [name for node in called for name in _sources(node)],
            }
        )
    return rows


def _sources(node):
    """The names of the layers that feed a node, through operations in between."""
    for source in node.sources:
        if isinstance(source.operation, keras.Layer):
            yield source.operation.name
        else:
            yield from _sources(source)


def _warn_of_devices(began, resolved, say):
    """Say where a run began on other devices than it is gone on with."""
    before, now = began["distribute"], resolved["distribute"]
    for key in dict.fromkeys([*before, *now]):
        if before.get(key) != now.get(key):
            say(f"distribute.{key} was {before.get(key)}, and is {now.get(key)} now")
    if before != now:
        say("random layers draw other numbers there; the learning rate stays as it was")


def _warn_of_versions(experiment, say):
    """Say where a resolved config was made with other versions than these."""
    wanted = experiment.settings.versions
    running = experiment.resolved()["versions"]
    for name, version in wanted.items():
        if running.get(name) != version:
            here = running.get(name, "not in use")
            say(f"the config was resolved with {name} {version}; here it is {here}")
