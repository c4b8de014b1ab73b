"""`search(config)`: check, lock a folder, try what the oracle proposes, sum up."""

import contextlib
import os
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml

from keras_dlparts import backend
from keras_dlparts.config.overrides import as_list
from keras_dlparts.searching import fork as forking
from keras_dlparts.searching import kerastuner, tensorboard
from keras_dlparts.searching.channel import LOOPBACK
from keras_dlparts.searching.chief import join, lead
from keras_dlparts.searching.errors import SearchFailed, refuse
from keras_dlparts.searching.folder import Folder, home_of, read
from keras_dlparts.searching.oracles import make_oracle
from keras_dlparts.searching.request import Request
from keras_dlparts.searching.summary import sum_up
from keras_dlparts.searching.table import LiveTable
from keras_dlparts.searching.view import Search
from keras_dlparts.support import progress
from keras_dlparts.support.files import whole, write_text
from keras_dlparts.training import folder as run_folder


def search(
    config: str | os.PathLike | dict,
    sets: Sequence[str] = (),
    out: str | os.PathLike | None = None,
    *,
    trials: int | None = None,
    algorithm: Literal["random", "bayesian", "hyperband", "grid"] | None = None,
    objective: str | None = None,
    workers: int | None = None,
    isolate: bool | None = None,
    retries: int | None = None,
    median_rule: bool | None = None,
    listen: str | None = None,
    resume: bool = False,
    fork: bool = False,
    verbose: Literal["auto", 0, 1] = "auto",
) -> Search:
    """Search a config's space for the best values, each trial a run of its own.

    Args:
        config: path of a YAML, TOML or JSON file, or the dict itself. Its `search:`
            section says what the arguments below do not.
        sets: texts such as `"fit.epochs=3"` that override it.
        out: the search's folder. Defaults to `searches/<name>`, and for the copy of a
            config in a search's folder to that folder.
        trials: how many to try. Defaults to 10; for `"grid"` and `"hyperband"` to all
            that they have.
        algorithm: `"random"`, `"bayesian"`, `"hyperband"` or `"grid"`.
        objective: the column of the history that decides. Defaults to `"val_loss"`.
        workers: how many trials run at once, each in a process. With 1, the default,
            trials run in this process; with 0 and `listen` other machines run all.
        isolate: run each trial in a process of its own, so that memory does not grow
            and a crash ends a trial only.
        retries: how often a trial is tried again whose process died.
        median_rule: stop trials that are worse than the median of the others.
        listen: `HOST` or `HOST:PORT` where workers of other machines may join. Anyone
            who reaches it can take part: it belongs on a private network.
        resume: go on with the search in `out`, if there is one.
        fork: start anew beside the search in `out`, with the finished trials that fit
            the changed config.
        verbose: `"auto"` or 1 to report progress on standard error, as a table in a
            terminal and a line a trial elsewhere; 0 for silence.

    Returns: a `keras_dlparts.Search`.

    Raises:
        ConfigError: the config, its space or the folder cannot be used.
        SearchFailed: no worker could go on, or every trial failed.
        OSError: the disk is full; `resume` finishes what was under way.
    """
    given = {
        "trials": trials,
        "algorithm": algorithm,
        "objective": objective,
        "workers": workers,
        "isolate": isolate,
        "retries": retries,
        "median_rule": median_rule,
    }
    sets = _with_settings(sets, given)
    home = home_of(config)
    asked = None if home is None else read(home)
    request = Request(config, sets, asked)  # chooses the backend, so before Keras
    if listen is None:
        _check_workers(request)
    kerastuner.load()
    path = Path(out) if out is not None else home or Path("searches") / request.name
    source = None
    if fork:
        source, path = path, forking.beside(path)
        if not (source / "oracle.json").exists():
            refuse(f"{source} holds no search to fork")
    with Folder(path) as folder:
        going_on = resume and folder.holds_search()
        if going_on:
            folder.check_same(request.config, request.settings)
            folder.check_data(request.described_data())
        else:
            folder.check_free()
            try:
                noted = request.check()
            except BaseException:  # an interruption too is to leave no folder behind
                folder.abandon()
                raise
            _begin(folder, request, noted)
        _write_copies(path, request)
        oracle = make_oracle(path, request.spaces, request.settings, request.epochs)
        if source is not None and not oracle.trials:
            taken, unlike = 0, forking.unlike(read(source), read(path))
            if unlike:
                say = progress.news(verbose)
                say(f"no trial of {source} is taken over: {unlike}")
            else:
                taken = forking.take_over(
                    source, oracle, *request.opened, request.settings
                )
            folder.write(forked_from=str(source), taken_over=taken)
        try:
            return _carry_out(path, folder, request, oracle, listen, verbose)
        except KeyboardInterrupt as stopped:
            if source is not None:  # the same again would fork once more
                how = f"Continue with --out {shlex.quote(str(path))} --resume in place "
                stopped.add_note(f"{how}of --fork")
            raise


def join_search(
    config: str | os.PathLike | dict,
    address: str,
    sets: Sequence[str] = (),
    out: str | os.PathLike | None = None,
    *,
    objective: str | None = None,
    workers: int | None = None,
    isolate: bool | None = None,
    verbose: Literal["auto", 0, 1] = "auto",
) -> None:
    """Lend workers of this machine to a search on another one, until it is done.

    Args:
        config: the searched config, the same there and here.
        address: `HOST:PORT` of the chief, as it prints it.
        sets: as the chief was given.
        out: where these trials' runs go: best the chief's folder, where the machines
            share one. Defaults to `searches/<name>`.
        objective: as the chief was given.
        workers: how many.
        isolate: run each trial in a process of its own here.
        verbose: `"auto"` or 1 to report progress on standard error, 0 for silence.
    """
    given = {"objective": objective, "workers": workers, "isolate": isolate}
    request = Request(config, _with_settings(sets, given))
    kerastuner.load()
    path = Path(out) if out is not None else Path("searches") / request.name
    join(path, request, request.settings, address, progress.news(verbose))


def _with_settings(sets, given):
    """Overrides, and those of the `search:` section that are given, not None."""
    sets = as_list(sets)
    for key, value in given.items():
        if value is not None:
            sets.append(f"search.{key}={yaml.safe_dump(value).splitlines()[0]}")
    return sets


def _check_workers(request):
    """Refuse a search that nobody works on, as no worker can join."""
    if request.settings.workers == 0:
        document, path = request.opened[0], ("search", "workers")
        message = "must be at least 1 without `listen`, by which others join"
        document.problem(path, f"{message}. Received: 0")
        document.raise_problems()


def _begin(folder, request, data):
    folder.write(
        config=request.config,
        relative_to=request.folder,
        settings=request.settings.model_dump(),
        data=data,
        environment=run_folder.environment(backend.name()),
        state="running",
        message="",
        seconds=0.0,
    )


def _write_copies(path, request):
    """Write what other tools look for; when resuming too, after a kill."""
    _, given = request.opened
    if isinstance(given, Path):
        # Written under another name first, as the file given may be this very copy.
        with whole(path / f"config{given.suffix}") as partial:
            shutil.copyfile(given, partial)
    write_text(path / "tuner0.json", "{}")  # KerasTuner asks for it
    if not (path / "tensorboard").exists():
        tensorboard.describe(path, request.spaces, request.settings.objective)


def _carry_out(path, folder, request, oracle, listen, verbose):
    from keras_dlparts.searching.trial import Trials, work

    settings, started = request.settings, time.monotonic()
    before = Search(path).seconds
    many = settings.workers != 1 or settings.isolate or listen is not None

    def note(state, message=""):
        spent = round(before + time.monotonic() - started, 1)
        folder.write(
            settings=settings.model_dump(), state=state, message=message, seconds=spent
        )

    note("running")
    try:
        with LiveTable(oracle, settings.workers, verbose) as table:
            if many:
                lead(path, request, settings, oracle, listen or LOOPBACK, table)
            else:
                trials = Trials(
                    path, *request.opened, request.spaces, settings, table.on_epoch
                )
                work(oracle, trials, "tuner0")
    except BaseException as error:
        oracle.save()
        state, message = "failed", f"{type(error).__name__}: {error}"
        if isinstance(error, KeyboardInterrupt):
            state, message = "stopped", "stopped by hand; --resume continues"
        with contextlib.suppress(Exception):  # the error that ended it is raised below
            note(state, message)
            sum_up(path)
        raise
    result = Search(path)
    if not result.completed:
        reason = result.failed[0].notes.get("reason", "") if result.failed else ""
        message = f"none of {len(result.trials)} trials was completed. {reason}".strip()
        note("failed", message)
        sum_up(path)
        raise SearchFailed(message)
    note("done")
    sum_up(path)
    return Search(path)
