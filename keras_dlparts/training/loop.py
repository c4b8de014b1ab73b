"""A config -> a run directory that can be repeated, resumed and looked at.

What imports Keras is imported in the functions, after the config was loaded: it may
name the backend, and Keras keeps the one that it is imported with.
"""

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.config.experiment import load
from keras_dlparts.config.objects import OwnData
from keras_dlparts.config.overrides import as_list
from keras_dlparts.runs import Run
from keras_dlparts.support import progress
from keras_dlparts.support.locks import Locked, lock
from keras_dlparts.training import folder as run_folder

if TYPE_CHECKING:
    import keras


def train(
    config: str | os.PathLike | dict | None = None,
    sets: Sequence[str] = (),
    out: str | os.PathLike = "runs",
    resume: bool = False,
    epochs: int | None = None,
    verbose: Literal["auto", 0, 1] = "auto",
    *,
    model: "keras.Model | Callable[[], keras.Model] | None" = None,
    data: Any = None,
    validation_data: Any = None,
    validation_split: float | None = None,
    batch_size: int | None = None,
    steps_per_epoch: int | None = None,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
    class_weight: dict[int, float] | None = None,
    directory: str | os.PathLike | None = None,
) -> Run:
    """Train a model of your own, or what a config describes, in a run directory.

    A compiled Keras model and its data, or a config, or a config with either of them
    given beside it. The model is trained in place, as `fit` does, and the run directory
    keeps its history, its best and its last state, checkpoints and a report. What else
    `fit` has no argument for, such as `seed` or `distribute`, stands in the config.

    Args:
        config: path of a YAML, TOML or JSON file, or the dict itself. May be left out
            where `model` is given.
        sets: texts such as `"optimizer.learning_rate=3e-4"` that override it.
        out: the folder that holds the runs.
        resume: go on with the run in `directory`, or else the newest run of the same
            model, data and config under `out`, if there is one, from its last
            checkpoint, to the same final weights as a run that was never stopped.
        epochs: how many epochs, 10 by default; overrides `fit.epochs`. A resumed run
            can be made longer.
        verbose: `"auto"` or 1 to report progress on standard error, 0 for silence.
        model: a compiled `keras.Model`, or a function that makes one. To be shared
            among devices it must be a function, for their strategy has to make it.
        data: what to train on: arrays `x`, `(x, y)` or `(x, y, sample_weight)`, a
            `tf.data.Dataset`, a `keras.utils.PyDataset`, a PyTorch `DataLoader`, a list
            of batches, a function that gives an iterator over batches, or a source of
            `keras_dlparts.data`. Arrays are shuffled in each epoch; what comes in
            batches keeps its own order.
        validation_data: likewise, to validate on after each epoch.
        validation_split: the share of arrays that is cut off, at random, to validate
            on.
        batch_size: of arrays, 32 by default.
        steps_per_epoch: how many batches an epoch has, where data does not end.
        callbacks: further Keras callbacks, besides those of the config.
        class_weight: `{class number: weight}`, as `fit` takes it.
        directory: the run's own directory, in place of a new one under `out`.

    Returns: a `Run`.

    Raises:
        ConfigError: model, data or config cannot be used, or another process trains in
            the run's folder; nothing was written.
        NonFiniteError: training met a NaN; the message names the layer.
        RuntimeError: another training is under way in this process.

    Example:

    >>> import keras, numpy as np, tempfile
    >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    >>> y = x.sum(axis=1, keepdims=True)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer="adam", loss="mse")
    >>> out = tempfile.mkdtemp()
    >>> run = train(model=model, data=(x, y), epochs=2, out=out, verbose=0)
    >>> len(run.history["loss"]), run.status["state"]
    (2, 'done')

    The same from a config, with the data given beside it and a layer made in Python:

    >>> layers = [keras.layers.Dense(8), {"use": "RandomDropout", "rate": 0.2}]
    >>> layers += [{"use": "Dense", "units": 1}]
    >>> config = {"model": layers, "loss": keras.losses.MeanSquaredError()}
    >>> run = train(config, data=(x, y), epochs=1, out=out, verbose=0)
    >>> [layer["class"] for layer in run.layers]
    ['InputLayer', 'Dense', 'RandomDropout', 'Dense']
    """
    say = progress.news(verbose)
    if config is None and model is None:
        raise TypeError(
            "`train` needs a config, or a compiled `model=` and its `data=`. Received: "
            "neither"
        )
    own = OwnData(data, validation_data, batch_size, validation_split, steps_per_epoch)
    if data is None:
        _refuse_without_data(own)
    beside = {"model": model, "data": None if data is None else own}
    beside = {key: value for key, value in beside.items() if value is not None}
    if callbacks:
        beside["callbacks"] = callbacks
    experiment = load(
        {} if config is None else config,
        [*as_list(sets), *([] if epochs is None else [f"fit.epochs={epochs}"])],
        beside=beside,
        fit={} if class_weight is None else {"class_weight": class_weight},
    )

    def place(resolved):
        if directory is not None:
            return run_folder.own(directory, experiment, resolved, resume, say)
        path = run_folder.latest(out, resolved) if resume else None
        if resume and path is None:
            say(f"no run of this config under {out} to resume; starting one")
        if path is not None:
            _warn_of_devices(run_folder.read_resolved(path), resolved, say)
        return path or run_folder.create(out, experiment, resolved)

    return carry_out(experiment, place, say, bars=progress.reports(verbose))


def _refuse_without_data(own):
    """Refuse arguments that say how data is to be taken, where none is given."""
    given = [name for name, value in vars(own).items() if value is not None]
    names = {"validation": "validation_data", "steps": "steps_per_epoch"}
    if given:
        name = names.get(given[0], given[0])
        raise TypeError(
            f"`{name}` is about `data=`. Received: {name}, and no data. In a config it "
            "is said in the section `data:`"
        )


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
    from keras_dlparts.data.table import TableSource
    from keras_dlparts.training import several
    from keras_dlparts.training.session import Session

    with Session(experiment, say, data) as session, contextlib.ExitStack() as held:

        def taken():
            path = place(experiment.resolved())
            held.enter_context(_locked(path, say))
            return path

        session.prepare()
        strategy = session.sharing.strategy
        with session.sharing.fitting():
            path = several.place(strategy, taken)
            run_folder.write_json(path / "model.json", model_rows(session.made.model))
            if isinstance(session.made.data, TableSource):
                run_folder.write_json(path / "columns.json", session.made.data.columns)
            try:
                session.restore(path)
                run_folder.note_epochs(path, experiment.settings.fit.epochs)
                session.fit(watchers, bars)
                session.end()
            except BaseException as error:
                raise session.end(error) from error.__cause__
            session.report()
            several.leave(strategy)
    return Run(path)


@contextlib.contextmanager
def _locked(path, say):
    """The run's folder for this process alone, or a ConfigError."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock(path / "run.lock", say))
        except Locked as owner:
            message = (
                f"{path}: {owner} is training here. Wait for it to end, or stop it"
            )
            raise ConfigError([Problem("", (), "", message)]) from None
        yield


def model_rows(model):
    """The model as a table, a row a layer."""
    from keras_dlparts import graphs

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
                "trainable": sum(math.prod(w.shape) for w in layer.trainable_weights),
                "from": [name for node in called for name in _sources(node)],
            }
        )
    return rows


def _sources(node):
    """The names of the layers that feed a node, through operations in between."""
    import keras

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
