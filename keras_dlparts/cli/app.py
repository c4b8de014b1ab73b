"""The commands of `dlparts`, in the order in which the help lists them."""

import sys
from importlib import metadata
from typing import Annotated

import typer

import keras_dlparts
from keras_dlparts.cli.check import check
from keras_dlparts.cli.compare import compare
from keras_dlparts.cli.evaluate import evaluate
from keras_dlparts.cli.export import export
from keras_dlparts.cli.init import init
from keras_dlparts.cli.list_parts import list_parts
from keras_dlparts.cli.look import look
from keras_dlparts.cli.plan import plan
from keras_dlparts.cli.predict import predict
from keras_dlparts.cli.report import report
from keras_dlparts.cli.runs import runs
from keras_dlparts.cli.schema import schema
from keras_dlparts.cli.search import search
from keras_dlparts.cli.show import show
from keras_dlparts.cli.train import train
from keras_dlparts.cli.verify import verify

COMMANDS = {
    "init": init,
    "list": list_parts,
    "show": show,
    "check": check,
    "look": look,
    "plan": plan,
    "schema": schema,
    "train": train,
    "search": search,
    "runs": runs,
    "compare": compare,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
    "report": report,
    "verify": verify,
}

app = typer.Typer(
    name="dlparts",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def show_versions(wanted: bool):
    """Print the versions and end, if they are asked for."""
    if wanted:
        print(f"dlparts {keras_dlparts.__version__}")
        print(", ".join(_versions()))
        raise typer.Exit


def _versions():
    """Of what else counts, where it is installed; nothing of it is imported."""
    yield f"Python {'.'.join(map(str, sys.version_info[:3]))}"
    for name in ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch"):
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the versions of dlparts and of what it runs on.",
            callback=show_versions,
            is_eager=True,
        ),
    ] = False,
):
    """Keras parts by name: list them, train configs of them, look at the runs."""


for name, command in COMMANDS.items():
    app.command(name)(command)
