"""`search(config)`: check, lock a folder, try what the oracle proposes, sum up."""

import contextlib
import copy
import shutil
import time
from pathlib import Path

import yaml

from keras_dlparts.config.branches import check_opened
from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.config.experiment import opened, settled
from keras_dlparts.config.searched import branch_labels
from keras_dlparts.config.whole_space import whole_space
from keras_dlparts.searching import fork as forking
from keras_dlparts.searching import kerastuner, tensorboard
from keras_dlparts.searching.folder import Folder
from keras_dlparts.searching.oracles import direction_of, make_oracle
from keras_dlparts.searching.space import require
from keras_dlparts.searching.table import LiveTable
from keras_dlparts.searching.trial import Trials, no_objective, work
from keras_dlparts.searching.view import Search
from keras_dlparts.training import folder as run_folder

LOOPBACK = "127.0.0.1"
_MANY = 10  # trials where none are asked for and the space has no end


class SearchFailed(RuntimeError):
    """The search could not go on; the message says why. What is finished is kept."""


def search(
    config,
    sets=(),
    out=None,
    *,
    trials=None,
    algorithm=None,
    objective=None,
    workers=None,
    isolate=None,
    retries=None,
    median_rule=None,
    listen=None,
    resume=False,
    fork=False,
    console=None,
):
    """Search a config's space for the best values, each trial a run of its own.

    Args:
        config: path of a YAML, TOML or JSON file, or the dict itself. Its `search:`
            section says what the arguments below do not.
        sets: texts such as `"fit.epochs=3"` that override it.
        out: the search's folder. Defaults to `searches/<name>`.
        trials: how many to try. Defaults to 10; for `"grid"` and `"hyperband"` to all
            that they have.
        algorithm: `"random"`, `"bayesian"`, `"hyperband"` or `"grid"`.
        objective: the column of the history that decides. Defaults to `"val_loss"`.
        workers: how many trials run at once, each in a process. With 1, the default,
            trials run in this process.
        isolate: run each trial in a process of its own, so that memory does not grow
            and a crash ends a trial only.
        retries: how often a trial is tried again whose process died.
        median_rule: stop trials that are worse than the median of the others.
        listen: `HOST` or `HOST:PORT` where workers of other machines may join. Anyone
            who reaches it can take part: it belongs on a private network.
        resume: go on with the search in `out`, if there is one.
        fork: start anew beside the search in `out`, with the finished trials that fit
            the changed config.
        console: a `rich.console.Console` for the live table.

    Returns: a `keras_dlparts.Search`.

    Raises:
        ConfigError: the config, its space or the folder cannot be used.
        SearchFailed: no worker could go on, or every trial failed.
    """
    kerastuner.load()
    given = {
        "trials": trials,
        "algorithm": algorithm,
        "objective": objective,
        "workers": workers,
        "isolate": isolate,
        "retries": retries,
        "median_rule": median_rule,
    }
    sets = [*sets]
    for key, value in given.items():
        if value is not None:
            sets.append(f"search.{key}={yaml.safe_dump(value).splitlines()[0]}")
    plan = _Plan(config, sets)
    path = Path(out) if out is not None else Path("searches") / plan.name
    source = None
    if fork:
        source, path = path, forking.beside(path)
        if not (source / "oracle.json").exists():
            _refuse(f"{source} holds no search to fork")
    with Folder(path) as folder:
        going_on = resume and folder.holds_search()
        if going_on:
            folder.check_same(plan.config, plan.settings)
        else:
            folder.check_free()
            try:
                plan.check()
            except BaseException:  # nothing is left behind
                folder.abandon()
                raise
            _begin(folder, plan)
        _write_copies(path, plan)
        oracle = make_oracle(path, plan.spaces, plan.settings, plan.epochs)
        if source is not None and not oracle.trials:
            taken = forking.take_over(source, oracle, *plan.opened, plan.settings)
            folder.write(forked_from=str(source), taken_over=taken)
        return _carry_out(path, folder, plan, oracle, listen, console)


def join_search(config, address, sets=(), out=None, *, workers=None, say=None):
    """Lend workers of this machine to a search on another one, until it is done.

    Args:
        config: the searched config, the same there and here.
        address: `HOST:PORT` of the chief, as it prints it.
        sets: as the chief was given.
        out: where these trials' runs go: best the chief's folder, where the machines
            share one. Defaults to `searches/<name>`.
        workers: how many.
        say: called with each line of news. Defaults to nothing.
    """
    kerastuner.load()
    sets = [*sets, *([] if workers is None else [f"search.workers={workers}"])]
    plan = _Plan(config, sets)
    path = Path(out) if out is not None else Path("searches") / plan.name
    from keras_dlparts.searching.chief import join

    join(path, plan.config, plan.settings, address, say or (lambda line: None))


class _Plan:
    """A search's config, opened, with its settings resolved."""

    def __init__(self, config, sets):
        self.opened = opened(config, sets)
        document, given = self.opened
        self.spaces = whole_space(document)
        experiment = settled(document, given)  # raises for both
        self.name = experiment.settings.name
        self.epochs = experiment.settings.fit.epochs
        settings = experiment.settings.search
        if settings.seed is None:
            settings.seed = experiment.settings.seed % 2**31
        if settings.trials is None and settings.algorithm in ("random", "bayesian"):
            settings.trials = _MANY
        best = experiment.settings.best
        if settings.direction == "auto" and settings.objective == best.monitor:
            settings.direction = best.mode  # the config says which way is better
        settings.direction = direction_of(settings)
        self.settings = settings
        self.config = {**copy.deepcopy(document.values), "name": self.name}
        self._check(document, experiment)

    def _check(self, document, experiment):
        require(self.spaces, document)
        if experiment.data is None:
            message = "`data:` is missing; a search needs a data source"
            document.problem((), message)
        if self.settings.algorithm == "hyperband":
            for space in self.spaces:
                if space.path == ("fit", "epochs"):
                    message = "hyperband says how long to train; give a plain number"
                    document.problem(space.path, message)
            if self.settings.median_rule:
                message = "hyperband stops trials itself; leave out one of the two"
                document.problem(("search", "median_rule"), message)
        document.raise_problems()

    def check(self):
        """Make every branch of the space once, and look for the objective."""
        made, _ = check_opened(*self.opened)
        if made.callbacks:  # they may add columns; the first trial tells
            return
        known = [*made.model.get_metrics_result()]
        made.model.reset_metrics()
        if made.data.validation is not None:
            known += [f"val_{name}" for name in known]
        if self.settings.objective not in known:
            problem = no_objective(self.settings.objective, known).problems[0]
            document = self.opened[0]
            document.problem(("search", "objective"), problem.message)
            document.raise_problems()


def _begin(folder, plan):
    folder.write(
        config=plan.config,
        settings=plan.settings.model_dump(),
        environment=run_folder.environment(_backend()),
        state="running",
        message="",
        seconds=0.0,
    )


def _write_copies(path, plan):
    """What other tools ask for, and what a kill may have kept from being written."""
    _, given = plan.opened
    if isinstance(given, Path):
        shutil.copyfile(given, path / f"config{given.suffix}")
    run_folder.write_text(path / "tuner0.json", "{}")  # KerasTuner's
    if not (path / "tensorboard").exists():
        tensorboard.describe(path, plan.spaces, plan.settings.objective)


def _backend():
    import keras

    return keras.backend.backend()


def _carry_out(path, folder, plan, oracle, listen, console):
    settings, started = plan.settings, time.monotonic()
    before = Search(path).seconds
    many = settings.workers != 1 or settings.isolate or listen is not None

    def note(state, message=""):
        spent = round(before + time.monotonic() - started, 1)
        folder.write(
            settings=settings.model_dump(), state=state, message=message, seconds=spent
        )

    note("running")
    try:
        with LiveTable(oracle, settings.workers, console) as table:
            if many:
                from keras_dlparts.searching.chief import lead

                lead(path, plan.config, settings, oracle, listen or LOOPBACK, table)
            else:
                trials = Trials(
                    path, *plan.opened, plan.spaces, settings, table.on_epoch
                )
                work(oracle, trials, "tuner0")
    except BaseException as error:
        oracle.save()
        state, message = "failed", f"{type(error).__name__}: {error}"
        if isinstance(error, KeyboardInterrupt):
            state, message = "stopped", "stopped by hand; --resume continues"
        note(state, message)
        with contextlib.suppress(Exception):  # the error itself is the one to tell
            _sum_up(path)
        raise
    result = Search(path)
    if not result.completed:
        reason = result.failed[0].notes.get("reason", "") if result.failed else ""
        message = f"none of {len(result.trials)} trials was completed. {reason}".strip()
        note("failed", message)
        _sum_up(path)
        raise SearchFailed(message)
    note("done")
    _sum_up(path)
    return Search(path)


def _sum_up(path):
    """Write the winner's config and the report."""
    from keras_dlparts.searching import report

    search = Search(path)
    if search.best is not None:
        resolved = search.best.path / "resolved.yaml"
        if resolved.exists():
            text = resolved.read_text(encoding="utf-8")
        else:  # it was trained on a machine with a folder of its own
            text = yaml.safe_dump(_winner(search), sort_keys=False)
        (path / "best").mkdir(exist_ok=True)
        run_folder.write_text(path / "best" / "config.yaml", text)
    report.write(path)


def _winner(search):
    """The resolved config of the best trial, from its values."""
    values = search.best.values

    def choose(name, spec):
        if spec["search"] == "one_of":
            return branch_labels(spec["of"]).index(values[name])
        return values[name]

    experiment = settled(*opened(search.config), choose)
    experiment.settings.fit.epochs = search.best.notes["asked"]
    if experiment.settings.best.monitor is None:
        experiment.settings.best.monitor = search.objective
        experiment.settings.best.mode = search.settings["direction"]
    return experiment.resolved()


def _refuse(message):
    raise ConfigError([Problem("", (), "", message)])
