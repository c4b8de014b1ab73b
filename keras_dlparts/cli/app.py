"""The commands of `dlparts`, in the order in which the help lists them."""

import typer

from keras_dlparts.cli.check import check
from keras_dlparts.cli.compare import compare
from keras_dlparts.cli.evaluate import evaluate
from keras_dlparts.cli.list_parts import list_parts
from keras_dlparts.cli.plan import plan
from keras_dlparts.cli.report import report
from keras_dlparts.cli.runs import runs
from keras_dlparts.cli.schema import schema
from keras_dlparts.cli.search import search
from keras_dlparts.cli.show import show
from keras_dlparts.cli.train import train
from keras_dlparts.cli.verify import verify

COMMANDS = {
    "list": list_parts,
    "show": show,
    "check": check,
    "plan": plan,
    "schema": schema,
    "train": train,
    "search": search,
    "runs": runs,
    "compare": compare,
    "evaluate": evaluate,
    "report": report,
    "verify": verify,
}

app = typer.Typer(
    name="dlparts",
    help="Keras parts by name: list them, train configs of them, look at the runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for name, command in COMMANDS.items():
    app.command(name)(command)
