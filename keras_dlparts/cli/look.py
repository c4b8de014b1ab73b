"""`dlparts look`: the signals of a config's model, before a training is paid for."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from keras_dlparts.cli.arguments import AsJson, ConfigPath, Sets
from keras_dlparts.cli.console import out, stop
from keras_dlparts.cli.starting import start_backend


def look(
    config: ConfigPath,
    sets: Sets = None,
    samples: Annotated[
        int, typer.Option(min=2, help="How many samples of a batch.")
    ] = 64,
    figure: Annotated[
        Path | None,
        typer.Option(help="Save a picture there: .png, .svg or .pdf."),
    ] = None,
    as_json: AsJson = False,
):
    """Will the model train? Signals and gradients by layer, and what to change."""
    start_backend(config, sets)
    from keras_dlparts.analysis.signal_report import signal_report
    from keras_dlparts.config.assemble import assemble
    from keras_dlparts.config.experiment import load

    made = assemble(load(config, sets or ()))
    if made.data is None:
        stop(2, f"{config}: `data:` is needed, for the signals are those of a batch")
    batch = made.data.train[0]
    if not made.model.built:
        made.model(batch[0][:2])
    try:
        report = signal_report(made.model, batch, samples)
    except ValueError as error:
        stop(2, str(error))
    if figure is not None:
        try:
            report.figure().savefig(figure)
        except (ImportError, OSError, ValueError) as error:
            stop(2, f"--figure: {error}")
    if as_json:
        print(json.dumps(report.as_dict(), indent=1))
        return
    # Lines are as wide as the table is; a terminal wraps them, a file keeps them.
    out.print(escape(str(report)), soft_wrap=True, highlight=False)
