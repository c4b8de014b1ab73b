"""The arguments and options that several commands take."""

import glob
import os
from pathlib import Path
from typing import Annotated

import typer

from keras_dlparts import registry
from keras_dlparts.cli.console import stop


def part_names(incomplete: str) -> list[str]:
    """What a shell completes a part's name to."""
    names = [name for kind in registry.KINDS for name in registry.names(kind)]
    return _beginning(incomplete, names)


def registered_names(incomplete: str) -> list[str]:
    """The same without Keras' own parts."""
    return _beginning(incomplete, [part.name for part in registry.parts()])


def _beginning(incomplete, names):
    """The names that begin so without their vendors, else those that do with them."""
    short = {name.partition(".")[2] for name in names}
    found = [name for name in short if name.startswith(incomplete)]
    return sorted(found or {name for name in names if name.startswith(incomplete)})


def kinds(incomplete: str) -> list[str]:
    return [kind for kind in registry.KINDS if kind.startswith(incomplete)]


def run_folders(incomplete: str) -> list[str]:
    """Runs whose paths begin so, or that are in a folder whose path does."""
    start = glob.escape(incomplete)
    found = sorted({*glob.glob(f"{start}*"), *glob.glob(f"{start}*/*")})
    return [path for path in found if os.path.exists(f"{path}/status.json")]


ConfigPath = Annotated[
    Path, typer.Argument(help="A config: YAML, TOML or JSON.", metavar="CONFIG")
]
PartName = Annotated[
    str,
    typer.Argument(
        help="A part's name, as in a config.",
        metavar="NAME",
        autocompletion=part_names,
    ),
]
RegisteredName = Annotated[
    str,
    typer.Argument(
        help="A registered part's name.",
        metavar="NAME",
        autocompletion=registered_names,
    ),
]
Kind = Annotated[
    str | None,
    typer.Argument(help="One kind only.", metavar="KIND", autocompletion=kinds),
]
RunPath = Annotated[
    Path,
    typer.Argument(help="A run directory.", metavar="RUN", autocompletion=run_folders),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one value.", metavar="path=value"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelPath = Annotated[
    Path,
    typer.Argument(
        help="A run directory, or a .keras file.",
        metavar="MODEL",
        autocompletion=run_folders,
    ),
]


def opened(path):
    """(the model at a path, its run or None), on the run's backend."""
    from keras_dlparts.cli.starting import start_backend
    from keras_dlparts.runs import Run
    from keras_dlparts.saving import load_model

    run = None if path.suffix == ".keras" else Run(path)
    start_backend(None if run is None else path / "resolved.yaml")
    try:
        return (load_model(path) if run is None else run.model), run
    except ValueError as error:
        stop(2, str(error))
