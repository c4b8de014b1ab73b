"""The command `dlparts`: parse, call, print.

Exit codes: 0 done, 1 the work failed, 2 the input is wrong.
"""

import json
import os
import signal
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_dlparts import registry
from keras_dlparts.distribute import launcher

app = typer.Typer(
    name="dlparts",
    help="Keras parts by name: list them, train configs of them, look at the runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

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


def main():
    """The entry point: errors that are the user's to mend end without a traceback."""
    with launcher.ended_by_errors():
        _main()


def _main():
    # TensorFlow tells of its build and of the processor at every start.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app(prog_name="dlparts")
    except (registry.RegistryError, FileNotFoundError, ImportError) as error:
        _stop(2, str(error))
    except OSError as error:
        _stop(1, str(error))
    except ValueError as error:
        from keras_dlparts.config.errors import ConfigError

        if not isinstance(error, ConfigError):
            raise
        _stop(2, str(error))


def _start_backend():
    """Import Keras without the remarks on itself that TensorFlow makes meanwhile.

    Its libraries write them to the file descriptor, and no setting silences them.
    """
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as remarks:
        os.dup2(remarks.fileno(), 2)
        try:
            import keras  # noqa: F401
        except (ImportError, ValueError) as error:
            raise ImportError(
                f"Keras' backend does not start: {error}\n"
                "Install one, as by `pip install keras-dlparts[tensorflow]`; to use "
                "another, set KERAS_BACKEND to jax or torch."
            ) from error
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            remarks.seek(0)
            for line in remarks:
                if "absl::InitializeLog" not in line and "oneDNN" not in line:
                    print(line, end="", file=sys.stderr)


def _stop(code, message):
    err.print(escape(message), style="red" if code == 1 else None, soft_wrap=True)
    raise SystemExit(code)


@app.command("list")
def list_parts(
    kind: Annotated[
        str | None, typer.Argument(help="One kind only.", metavar="KIND")
    ] = None,
    as_json: AsJson = False,
):
    """The registered parts. Keras' own answer too, and are listed for one kind."""
    if kind is not None and kind not in registry.KINDS:
        raise registry.RegistryError(
            f"unknown kind {kind!r}. The kinds are: {', '.join(registry.KINDS)}"
        )
    parts = registry.parts(kind)
    if as_json:
        rows = [
            {
                "kind": part.kind,
                "name": part.name,
                "distribution": part.distribution,
                "summary": _summary(part),
            }
            for part in parts
        ]
        print(json.dumps(rows, indent=1))
    else:
        for each in registry.KINDS:
            _print_kind(each, [part for part in parts if part.kind == each])
        own = [n[6:] for n in registry.names(kind) if n[:6] == "keras."] if kind else []
        if own:
            out.print(f"[dim]and Keras' own:[/] {', '.join(own)}")
    for problem in registry.problems():
        err.print(f"[yellow]problem:[/] {escape(problem)}", soft_wrap=True)


def _print_kind(kind, parts):
    if not parts:
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(style="dim")
    for part in parts:
        table.add_row(part.name, escape(_summary(part)), part.distribution)
    out.print(f"[bold]{kind}[/]")
    out.print(table, "", highlight=False)


def _summary(part):
    """The first line of a part's docstring."""
    from keras_dlparts import static

    try:
        return static.summary(part.target)
    except (LookupError, ImportError, OSError, SyntaxError):
        return "(its source cannot be read)"


@app.command()
def show(
    name: PartName,
    as_json: AsJson = False,
):
    """What a part is: formula, paper, arguments with defaults, who provides it."""
    found = [(part, _described(part)) for part in registry.find_any(name)]
    if as_json:
        rows = [
            {
                "kind": part.kind,
                "name": part.name,
                "distribution": part.distribution,
                "target": part.target,
                "formula": about.module_doc,
                "doc": about.doc,
                "arguments": dict(about.arguments),
            }
            for part, about in found
        ]
        print(json.dumps(rows, indent=1))
        return
    for part, about in found:
        out.print(f"[bold]{part.name}[/]  [dim]{part.kind}, {part.distribution}[/]\n")
        for text in filter(None, (about.module_doc, about.doc)):
            out.print(f"{escape(text)}\n", highlight=False, soft_wrap=True)
        if about.arguments:
            table = Table("argument", "default", box=None, pad_edge=False)
            for argument, default in about.arguments:
                table.add_row(argument, escape(default or "required"))
            out.print(table, "")


def _described(part):
    """What a part's source says of it."""
    from keras_dlparts import static

    try:
        return static.describe(part.target)
    except (LookupError, ImportError, OSError, SyntaxError) as error:
        raise registry.RegistryError(
            f"{part.name} is provided by {part.distribution}, whose source cannot be "
            f"read: {error}"
        ) from error


@app.command()
def check(config: ConfigPath, sets: Sets = None):
    """Check a config: its parts, arguments, data and shapes. Trains nothing."""
    _start_backend()
    from keras_dlparts.config.branches import check_config

    made, spaces = check_config(config, sets or ())
    said = f"{config} is good: a model of {made.model.count_params():,} parameters"
    branches = sum(len(space.spec.get("of", ())) for space in spaces)
    said += f"; {len(spaces)} searched values" if spaces else ""
    out.print(said + (f", {branches} branches" if branches else ""))


@app.command()
def plan(
    config: ConfigPath,
    sets: Sets = None,
    replicas: Annotated[
        int, typer.Option(min=1, help="Among how many devices a batch is shared.")
    ] = 2,
    as_json: AsJson = False,
):
    """What training on several replicas holds and moves: arithmetic, no training."""
    _start_backend()
    from keras_dlparts.config.planning import plan as plan_config

    planned = plan_config(config, sets or (), replicas)
    if as_json:
        print(json.dumps(planned, indent=1))
        return
    _print_plan(planned)


def _print_plan(planned):
    shared, share = planned["batch_size"], planned["batch_size_per_replica"]
    rows = [
        (
            "replicas",
            f"{planned['replicas']}, a batch of {shared} shared: {share} each",
        ),
        ("parameters", f"{planned['parameters']:,}"),
        ("trained", f"{planned['trainable_parameters']:,}"),
    ]
    for part in ("weight", "gradient", "optimizer", "activation", "replica"):
        label = "in all, at least" if part == "replica" else part
        rows.append((f"{label}", f"{_size(planned[f'{part}_bytes'])} on each replica"))
    rows.append(
        ("on the wire", f"{_size(planned['wire_bytes_per_step'])} a step, each way")
    )
    if planned["steps_per_update"] > 1:
        rows.append(("updates", f"one in {planned['steps_per_update']} steps"))
    _print_table(rows)
    out.print("\n[bold]The wire's time a step, at the rate that is named[/]")
    links = planned["seconds_per_step"].items()
    _print_table([(link, f"{1000 * seconds:.3g} ms") for link, seconds in links])


def _print_table(rows):
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(*row)
    out.print(table, highlight=False)


def _size(count):
    """4,200,000 -> "4.2 MB"."""
    power = min(max(len(f"{count:.0f}") - 1, 0) // 3, 4)
    return f"{count / 1000**power:.4g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


@app.command()
def schema():
    """The JSON Schema of configs, for editors that complete and check YAML."""
    from keras_dlparts.config.json_schema import json_schema

    print(json.dumps(json_schema(), indent=1))


@app.command()
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
    # Before the others, which may set options of it.
    named = [] if distribute is None else [f"distribute={{use: {distribute}}}"]
    named += [] if workers is None else [f"distribute.workers={workers}"]
    sets = [*named, *(sets or ())]
    _launch_workers(config, sets)
    _start_backend()
    from keras_dlparts.training import NonFiniteError
    from keras_dlparts.training import train as train_config

    def terminated(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)
    try:
        run = train_config(config, sets, folder, resume, epochs, _say)
    except KeyboardInterrupt:
        _stop(1, "stopped. Continue with the same command and --resume")
    except NonFiniteError as error:
        _stop(1, str(error))
    _print_run(run)


def _launch_workers(config, sets):
    """Be the launcher, and end, if the config asks for several workers of this machine
    and nothing has started them yet."""
    from keras_dlparts.config.experiment import opened
    from keras_dlparts.distribute import cluster

    asked = opened(config, sets)[0].values.get("distribute")
    asked = asked if isinstance(asked, dict) else {}
    workers = asked.get("workers")
    if asked.get("use") != "multi_worker" or type(workers) is not int or workers < 1:
        return  # what may be wrong with it says whoever reads all of the config
    if cluster.find() is None:
        raise SystemExit(launcher.launch(sys.argv[1:], workers, _say))
    launcher.follow()


@app.command()
def search(
    config: ConfigPath,
    sets: Sets = None,
    trials: Annotated[int | None, typer.Option(help="How many to try.")] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="random, bayesian, hyperband or grid.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="The column of the history that decides.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="The search's folder. [default: searches/NAME]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="How many trials run at once.")
    ] = None,
    isolate: Annotated[
        bool, typer.Option("--isolate", help="A process for each trial.")
    ] = False,
    retries: Annotated[
        int | None, typer.Option(help="How often a trial is begun again that died.")
    ] = None,
    median_rule: Annotated[
        bool, typer.Option("--median-rule", help="Stop hopeless trials early.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in the folder.")
    ] = False,
    fork: Annotated[
        bool,
        typer.Option("--fork", help="Search a changed config beside the folder."),
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(help="Let others join at this address.", metavar="HOST[:PORT]"),
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(help="Lend workers to a search.", metavar="HOST:PORT"),
    ] = None,
):
    """Search a config's space; ends by naming the best config and the report."""
    _start_backend()
    from keras_dlparts.searching import SearchFailed, join_search
    from keras_dlparts.searching import search as search_config

    def terminated(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)
    try:
        if join is not None:
            join_search(config, join, sets or (), folder, workers=workers, say=_say)
            return
        found = search_config(
            config,
            sets or (),
            folder,
            trials=trials,
            algorithm=algorithm,
            objective=objective,
            workers=workers,
            isolate=isolate or None,
            retries=retries,
            median_rule=median_rule or None,
            listen=listen,
            resume=resume,
            fork=fork,
            console=err,
        )
    except KeyboardInterrupt:
        _stop(1, "stopped. Continue with the same command and --resume")
    except SearchFailed as error:
        _stop(1, str(error))
    _print_search(found)


def _say(line):
    err.print(escape(line), soft_wrap=True)


def _print_search(found):
    best = found.best
    rows = {
        "best": f"{found.objective} {best.score:.4g} in trial {best.trial_id}",
        "config": found.best_config,
        "report": found.path / "report.html",
    }
    for name, value in rows.items():
        out.print(f"{name:<7} {value}", soft_wrap=True, highlight=False, markup=False)


def _print_run(run):
    out.print(f"run     {run.path}", soft_wrap=True, highlight=False)
    out.print(f"report  {run.path / 'report.html'}", soft_wrap=True, highlight=False)


@app.command()
def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    as_json: AsJson = False,
):
    """The metrics of a run's best model on a split of its data."""
    if split not in ("train", "validation", "test"):
        _stop(2, f"--split is train, validation or test. Received: {split!r}")
    _start_backend()
    from keras_dlparts.training import evaluate as evaluate_run

    try:
        results = evaluate_run(run, split)
    except ValueError as error:
        _stop(2, str(error))
    if as_json:
        print(json.dumps(results))
        return
    table = Table("metric", split, box=None, pad_edge=False)
    for name, value in results.items():
        table.add_row(name, f"{value:.4f}")
    out.print(table)


@app.command()
def report(run: RunPath):
    """Write report.html again from the files of a run, or of a search."""
    if (run / "search.json").is_file():
        from keras_dlparts.searching import report as search_report

        print(search_report.write(run))
        return
    _start_backend()
    from keras_dlparts.training import write_report

    try:
        print(write_report(run))
    except ValueError as error:
        _stop(2, str(error))


@app.command()
def verify(name: PartName):
    """Run the contract suite on a part and print what holds and what does not."""
    parts = registry.find_any(name)
    _start_backend()
    from keras_dlparts.testing import verify as verify_part

    failed = sum(_print_results(part, verify_part(part)) for part in parts)
    if failed:
        _stop(1, f"{failed} check{'s' * (failed > 1)} of the contract failed")


def _print_results(part, results):
    """Print how the checks of a part went; returns how many failed."""
    marks = {True: "[green]holds[/]", False: "[red]fails[/]", None: "[yellow]skips[/]"}
    shown = part.name
    out.print(f"[bold]{part.name}[/]  [dim]{part.kind}, {part.distribution}[/]")
    for result in results:
        of, _, check = result.check.rpartition(": ")
        if of != shown:  # another case of it
            out.print(escape(of), highlight=False, soft_wrap=True)
            shown = of
        out.print(f"  {marks[result.ok]}  {check}", highlight=False)
        if not result.ok:
            message = textwrap.indent(result.message, " " * 9)
            out.print(escape(message), highlight=False, soft_wrap=True)
    return sum(result.ok is False for result in results)
