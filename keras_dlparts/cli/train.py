"""`dlparts train`: a config becomes a run directory, by one process or several."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from keras_dlparts.cli.arguments import ConfigPath, Sets
from keras_dlparts.cli.console import out, stop
from keras_dlparts.cli.starting import interrupt_on_sigterm, start_backend
from keras_dlparts.support import progress


def train(
    config: ConfigPath,
    sets: Sets = None,
    folder: Annotated[
        Path, typer.Option("--out", help="The folder that holds the runs.")
    ] = Path("runs"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with this config's newest run.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(help="Overrides fit.epochs.")] = None,
    distribute: Annotated[
        str | None,
        typer.Option(help="auto, none, mirrored, multi_worker, ...", metavar="NAME"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="How many processes multi_worker starts here.")
    ] = None,
):
    """Train a config; ends by naming the run directory and its report."""
    # These come before `--set`, which may then set options of the strategy.
    named = [] if distribute is None else [f"distribute={{use: {distribute}}}"]
    named += [] if workers is None else [f"distribute.workers={workers}"]
    sets = [*named, *(sets or ())]
    _launch_workers(config, sets)
    start_backend(config, sets)
    from keras_dlparts.training import NonFiniteError
    from keras_dlparts.training import train as train_config

    interrupt_on_sigterm()
    try:
        run = train_config(config, sets, folder, resume, epochs)
    except KeyboardInterrupt:
        stop(1, "stopped. Continue with the same command and --resume")
    except NonFiniteError as error:
        stop(1, str(error))
    out.print(f"run     {run.path}", soft_wrap=True, highlight=False)
    out.print(f"report  {run.path / 'report.html'}", soft_wrap=True, highlight=False)


def _launch_workers(config, sets):
    """Start the workers and end with them, if the config asks for several on this
    machine and this process is none of them."""
    from keras_dlparts.config.experiment import opened
    from keras_dlparts.distribute import cluster, launched, launcher

    asked = opened(config, sets)[0].values.get("distribute")
    asked = asked if isinstance(asked, dict) else {}
    workers = asked.get("workers")
    # Whatever else may be wrong in this section is told when all of the config is read.
    if asked.get("use") != "multi_worker" or type(workers) is not int or workers < 1:
        return
    if cluster.find() is None:
        raise SystemExit(launcher.launch(sys.argv[1:], workers, progress.news()))
    launched.follow()
