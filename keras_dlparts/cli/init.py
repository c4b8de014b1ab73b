"""`dlparts init`: a config or a plugin to begin with, which works as it is."""

import csv
import json
import keyword
import math
import os
import re
import shlex
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from keras_dlparts.cli.console import out, stop
from keras_dlparts.cli.schema import HEAD, SCHEMA_FILE, write_schema
from keras_dlparts.support.cells import is_number
from keras_dlparts.support.files import whole

# Also a folder of the repository's examples, where its tests are run.
TEMPLATE = Path(__file__).with_name("plugin_template")
VENDOR = "acme"  # of the template
_KINDS_OF_FILES = (".py", ".toml", ".yaml", ".md")

CONFIG = """\
{head}
# A config says what is trained, on what and how. The editor's YAML extension completes
# and checks it by the file in the line above. What to do with it:
#   dlparts check {file}     tells every mistake, with its line
#   dlparts train {file}     trains, and writes a run with a report
#   dlparts search {file}    finds the best values of what is searched for below
dlparts: 1

{data_words}
# `dlparts list data` names the sources; `dlparts show NAME` says what one takes.
data: {data}

# The layers in order. `use` names one, the other keys are its arguments.
# All of Keras' layers are there, and those of `dlparts list layers`.
model:
  - {{use: Dense, units: 64, activation: relu}}
  # A dropout whose rate is drawn anew for every sample, up to `rate`. `dlparts search`
  # tries values from min to max, `dlparts train` takes the default.
  - use: RandomDropout
    rate: {{search: float, min: 0.0, max: 0.5, default: 0.1}}
  - {{use: Dense, units: 64, activation: relu}}
  # {outputs_words}
  - {{use: Dense, units: {outputs}}}

optimizer: {{use: Adam, learning_rate: 0.01}}
{loss}
fit: {{epochs: 20}}

# The same seed gives the same numbers again.
seed: 0
"""
CLASSES = """\
# The last layer's outputs are logits: no softmax stands after it.
loss: {use: SparseCategoricalCrossentropy, from_logits: true}
metrics: [accuracy]"""
NUMBER = """\
loss: MeanSquaredError
metrics: [MeanAbsoluteError]"""


def init(
    path: Annotated[
        Path | None,
        typer.Argument(help="What is written: config.yaml, or the plugin's folder."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--csv", help="A table of your own to train on.", metavar="FILE"),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Its column to predict; else the last.", metavar="COLUMN"),
    ] = None,
    plugin: Annotated[
        str | None,
        typer.Option(help="A distribution of parts of your own.", metavar="VENDOR"),
    ] = None,
):
    """Write a config that trains, or with --plugin a plugin; never over a file."""
    if plugin is None:
        _init_config(path or Path("config.yaml"), table, target)
    elif table or target:
        stop(2, "--csv and --target are for a config. Received: --plugin too")
    else:
        _init_plugin(plugin, path or Path(f"{plugin}-parts"))


def _init_config(path, table, target):
    if target and not table:
        stop(2, "--target names a column of the table that --csv names")
    if path.suffix not in (".yaml", ".yml"):
        stop(2, f"a config to begin with is a .yaml file. Received: {path}")
    _must_be_free(path)
    told = _of_table(table, target, path.parent) if table else _of_spirals()
    write_schema(path.parent / SCHEMA_FILE)
    with whole(path) as partial:
        partial.write_text(CONFIG.format(head=HEAD, file=path, **told))
    _say("wrote", path)
    _say("next", f"dlparts train {shlex.quote(str(path))}")


def _of_spirals():
    return {
        "data_words": "# Three spirals, one a class: points made from the seed.",
        "data": "{use: spirals, classes: 3, samples: 1500, batch_size: 32}",
        "outputs_words": "One output a class.",
        "outputs": 3,
        "loss": CLASSES,
    }


def _of_table(table, target, folder):
    """What a table of one's own asks for."""
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            delimiter = _delimiter(file.readline())
            file.seek(0)
            rows = [row for row in csv.reader(file, delimiter=delimiter) if row]
    except UnicodeDecodeError:
        stop(2, f"{table} is no text in UTF-8")
    if len(rows) < 3:
        stop(2, f"{table} needs a line of names and some rows. Received: {len(rows)}")
    names = [name.strip() for name in rows[0]]
    if headless := _are_no_names(names):
        names, rows = [*map(str, range(len(names)))], [[], *rows]
    target = names[-1] if target is None else target
    if target not in names:
        stop(2, f"{table} has the columns {', '.join(names)}. Received: {target}")
    columns = {
        name: {cell.strip() for cell in cells}
        for name, *cells in zip_longest(names, *rows[1:], fillvalue="")
    }
    words = [name for name, cells in columns.items() if not any(map(_is_finite, cells))]
    values = columns[target]
    if target in words:
        classes = len(values)
    elif all(re.fullmatch(r"\d+", value) for value in values):
        # Whole numbers are those of classes, unless they look like counts or years.
        highest = max(map(int, values)) + 1
        classes = highest if highest <= 20 or highest == len(values) else None
    else:
        classes = None
    data = {"use": "csv", "path": os.path.relpath(table, folder), "target": target}
    if headless:
        data |= {"target": int(target), "header": False}
    if delimiter != ",":
        data["delimiter"] = delimiter
    if one_hot := [name for name in words if name != target]:
        data["one_hot"] = one_hot
    return {
        "data_words": f"# {len(rows) - 1} rows of a table; all its columns but the "
        "target are inputs.",
        "data": _flow(data | {"batch_size": 32}),
        "outputs_words": "One output a class." if classes else "One number.",
        "outputs": classes or 1,
        "loss": CLASSES if classes else NUMBER,
    }


def _delimiter(header):
    """What stands between the names of a table's columns, a comma if possible.

    >>> _delimiter("a;b;c"), _delimiter("a,b;c"), _delimiter("a")
    (';', ',', ',')
    """
    if len(next(csv.reader([header]), ())) > 1:
        return ","
    return max(",;\t|", key=header.count)


def _are_no_names(cells):
    """Whether a table's first line is of numbers, and not of years or the like.

    >>> _are_no_names(["2019", "2020"]), _are_no_names(["1.5", "2"])
    (False, True)
    """
    whole = all(re.fullmatch(r"\d+", cell) for cell in cells)
    alike = len({*cells}) < len(cells)
    return all(map(_is_finite, cells)) and (alike or not whole)


def _is_finite(cell):
    return is_number(cell) and math.isfinite(float(cell))


def _flow(value):
    """A value as YAML in one line: `{use: csv, one_hot: [a, b]}`."""
    if isinstance(value, dict):
        inner = ", ".join(f"{key}: {_flow(each)}" for key, each in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    plain = isinstance(value, str) and re.fullmatch(r"(\.\./)*[A-Za-z][\w./-]*", value)
    if plain and value.lower() not in ("true", "false", "null"):
        return value
    return json.dumps(value, ensure_ascii=False)  # `"7"` is a name, and 7 a position


def _init_plugin(vendor, folder):
    if not re.fullmatch("[a-z][a-z0-9_]*", vendor) or keyword.iskeyword(vendor):
        stop(
            2,
            "a vendor is a lower-case word, as in `acme.GatedMLP`; letters, digits and "
            f"underscores. Received: {vendor}",
        )
    if vendor in ("keras", "dlparts"):
        stop(2, f"a vendor other than keras and dlparts is needed. Received: {vendor}")
    _must_be_free(folder)
    sources = [p for p in sorted(TEMPLATE.rglob("*")) if p.suffix in _KINDS_OF_FILES]
    for source in sources:
        name = str(source.relative_to(TEMPLATE)).replace(VENDOR, vendor)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source.read_text().replace(VENDOR, vendor))
    _say("wrote", f"{folder}: {len(sources)} files")
    _say("next", f"pip install --editable {shlex.quote(str(folder))}")
    _say("next", f"dlparts verify {vendor}.GatedMLP")
    _say("next", f"dlparts train {shlex.quote(str(folder / 'gated.yaml'))}")


def _say(head, text):
    out.print(f"{head:<8}{escape(str(text))}", soft_wrap=True, highlight=False)


def _must_be_free(path):
    if path.exists():
        stop(2, f"{path} is there already, and is not written over")
