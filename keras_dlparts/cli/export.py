"""`dlparts export`: a model as a file that runs without Keras."""

from pathlib import Path
from typing import Annotated

import typer

from keras_dlparts.cli.arguments import ModelPath, opened
from keras_dlparts.cli.console import out, stop

FORMATS = ("saved_model", "onnx", "litert")


def export(
    model: ModelPath,
    format: Annotated[
        str, typer.Option(help="saved_model, onnx or litert.", metavar="FORMAT")
    ] = "saved_model",
    path: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Where to: a folder for saved_model, else a file. [default: beside "
            "the model, named by the format]",
        ),
    ] = None,
):
    """Write a model for TensorFlow Serving, ONNX Runtime or LiteRT, without Keras."""
    if format not in FORMATS:
        stop(2, f"--format is one of {', '.join(FORMATS)}. Received: {format!r}")
    loaded, run = opened(model)
    from keras_dlparts.backend import exports

    if path is None:
        path = model / "model" if run is not None else model
        path = path.with_suffix(exports.FORMATS[format][1] or ".saved_model")
    try:
        written = exports.export(loaded, path, format)
    except ValueError as error:
        stop(2, str(error))
    out.print(f"{format} {written}", soft_wrap=True, highlight=False, markup=False)
