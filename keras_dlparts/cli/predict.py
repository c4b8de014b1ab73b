"""`dlparts predict`: the outputs of a run's best model, or of a saved one."""

from pathlib import Path
from typing import Annotated

import typer

from keras_dlparts.cli.arguments import ModelPath, opened
from keras_dlparts.cli.console import err, stop


def predict(
    model: ModelPath,
    data: Annotated[
        str,
        typer.Option(
            help="A .csv, .npz or .npy file, or a split of the run's data: train, "
            "validation or test.",
            metavar="FILE|SPLIT",
        ),
    ],
    path: Annotated[
        Path | None,
        typer.Option(
            "--out", help="A .csv or .npz file. [default: csv on standard output]"
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="How many samples are computed at once.")
    ] = 256,
):
    """The outputs of a model, a row a sample, on a file or on a split."""
    if path is not None and path.suffix not in (".csv", ".npz"):
        stop(2, f"--out is a .csv or .npz file. Received: {path}")
    loaded, run = opened(model)
    from keras_dlparts.training import predicting

    try:
        outputs = predicting.predict(loaded, data, run, batch_size)
        text = predicting.write(outputs, path)
    except ValueError as error:
        stop(2, str(error))
    if path is None:
        print(text, end="")
    else:
        err.print(f"outputs {path}", soft_wrap=True, highlight=False, markup=False)
