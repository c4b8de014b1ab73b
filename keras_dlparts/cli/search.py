"""`dlparts search`: a config with a search space becomes a folder of runs."""

from pathlib import Path
from typing import Annotated

import typer

from keras_dlparts.cli.arguments import ConfigPath, Sets
from keras_dlparts.cli.console import out, stop
from keras_dlparts.cli.starting import interrupt_on_sigterm, start_backend


def search(
    config: ConfigPath,
    sets: Sets = None,
    trials: Annotated[int | None, typer.Option(help="How many to try.")] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="random, bayesian, hyperband or grid.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="The column of the history that decides.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="The search's folder. [default: searches/NAME]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="How many trials run at once.")
    ] = None,
    isolate: Annotated[
        bool, typer.Option("--isolate", help="A process for each trial.")
    ] = False,
    retries: Annotated[
        int | None, typer.Option(help="How often a trial is begun again that died.")
    ] = None,
    median_rule: Annotated[
        bool, typer.Option("--median-rule", help="Stop hopeless trials early.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in the folder.")
    ] = False,
    fork: Annotated[
        bool,
        typer.Option("--fork", help="Search a changed config beside the folder."),
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(help="Let others join at this address.", metavar="HOST[:PORT]"),
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(help="Lend workers to a search.", metavar="HOST:PORT"),
    ] = None,
):
    """Search a config's space; ends by naming the best config and the report."""
    start_backend(config, sets)
    from keras_dlparts.searching import SearchFailed, join_search
    from keras_dlparts.searching import search as search_config

    interrupt_on_sigterm()
    try:
        if join is not None:
            leads = {"trials": trials, "algorithm": algorithm, "retries": retries}
            leads |= {"median-rule": median_rule, "resume": resume, "fork": fork}
            _must_only_lend({**leads, "listen": listen})
            given = {"objective": objective, "workers": workers}
            given["isolate"] = isolate or None
            join_search(config, join, sets or (), folder, **given)
            return
        found = search_config(
            config,
            sets or (),
            folder,
            trials=trials,
            algorithm=algorithm,
            objective=objective,
            workers=workers,
            isolate=isolate or None,
            retries=retries,
            median_rule=median_rule or None,
            listen=listen,
            resume=resume,
            fork=fork,
        )
    except KeyboardInterrupt as stopped:
        notes = getattr(stopped, "__notes__", ())
        how = " ".join(notes) or "Continue with the same command and --resume"
        stop(1, f"stopped. {how}")
    except SearchFailed as error:
        stop(1, str(error))
    _print_search(found)


def _must_only_lend(given):
    """Refuse options that only the command has which leads a search."""
    wrong = [f"--{k}" for k, v in given.items() if v is not None and v is not False]
    if wrong:
        told = "--join lends workers to a search that another command leads, and this "
        stop(2, f"{told}is for that command to say. Received: {', '.join(wrong)}")


def _print_search(found):
    best = found.best
    rows = {
        "best": f"{found.objective} {best.score:.4g} in trial {best.trial_id}",
        "config": found.best_config,
        "report": found.path / "report.html",
    }
    for name, value in rows.items():
        out.print(f"{name:<7} {value}", soft_wrap=True, highlight=False, markup=False)
