"""`dlparts evaluate`: the metrics of a run's best model."""

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from keras_dlparts.cli.arguments import AsJson, RunPath
from keras_dlparts.cli.console import err, out, stop
from keras_dlparts.cli.starting import start_backend
from keras_dlparts.runs import BrokenRunError


def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    as_json: AsJson = False,
):
    """The metrics of a run's best model on a split of its data.

    They are noted in the run's evaluation.json and shown in its report.
    """
    if split not in ("train", "validation", "test"):
        stop(2, f"--split is train, validation or test. Received: {split!r}")
    start_backend(run / "resolved.yaml")
    from keras_dlparts.training import evaluate as evaluate_run
    from keras_dlparts.training.evaluation import record

    try:
        results = evaluate_run(run, split)
    except ValueError as error:
        stop(2, str(error))
    try:
        record(run, split, results)
    except (OSError, BrokenRunError) as error:  # the figures are there all the same
        err.print(f"not noted in the run: {escape(str(error))}", soft_wrap=True)
    if as_json:
        print(json.dumps(results))
        return
    table = Table("metric", split, box=None, pad_edge=False)
    for name, value in results.items():
        table.add_row(name, f"{value:.4f}")
    out.print(table)
