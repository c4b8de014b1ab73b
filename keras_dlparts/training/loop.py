"""A config -> a run directory that can be repeated, resumed and looked at.

What imports Keras is imported in the functions, after the config was loaded: it may
name the backend, and Keras keeps the one that it is imported with.
"""

import contextlib
import math
import os
from collections.abc import Sequence
from typing import Literal

from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.config.experiment import load
from keras_dlparts.runs import Run
from keras_dlparts.support import progress
from keras_dlparts.support.locks import Locked, lock
from keras_dlparts.training import folder as run_folder


def train(
    config: str | os.PathLike | dict,
    sets: Sequence[str] = (),
    out: str | os.PathLike = "runs",
    resume: bool = False,
    epochs: int | None = None,
    verbose: Literal["auto", 0, 1] = "auto",
) -> Run:
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
        ConfigError: the config cannot be used, or another process trains in the run's
            folder; nothing was written.
        NonFiniteError: training met a NaN; the message names the layer.
        RuntimeError: another training is under way in this process.
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
            try:
                session.restore(path)
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
