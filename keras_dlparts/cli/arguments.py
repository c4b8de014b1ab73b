"""The arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

ConfigPath = Annotated[
    Path, typer.Argument(help="A config: YAML, TOML or JSON.", metavar="CONFIG")
]
PartName = Annotated[
    str, typer.Argument(help="A part's name, as in a config.", metavar="NAME")
]
RunPath = Annotated[Path, typer.Argument(help="A run directory.", metavar="RUN")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one value.", metavar="path=value"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
