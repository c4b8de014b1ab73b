"""`dlparts plan`: what training on several replicas holds and moves."""

import json
from typing import Annotated

import typer

from keras_dlparts.cli.arguments import AsJson, ConfigPath, Sets
from keras_dlparts.cli.console import out, print_rows
from keras_dlparts.cli.starting import start_backend


def plan(
    config: ConfigPath,
    sets: Sets = None,
    replicas: Annotated[
        int, typer.Option(min=1, help="Among how many devices a batch is shared.")
    ] = 2,
    as_json: AsJson = False,
):
    """What training on several replicas holds and moves: arithmetic, no training."""
    start_backend(config, sets)
    from keras_dlparts.config import plan as plan_config

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
        rows.append((label, f"{size(planned[f'{part}_bytes'])} on each replica"))
    rows.append(
        ("on the wire", f"{size(planned['wire_bytes_per_step'])} a step, each way")
    )
    if planned["steps_per_update"] > 1:
        rows.append(("updates", f"one in {planned['steps_per_update']} steps"))
    print_rows(rows)
    out.print("\n[bold]The wire's time a step, at the rate that is named[/]")
    links = planned["seconds_per_step"].items()
    print_rows([(link, f"{1000 * seconds:.3g} ms") for link, seconds in links])


def size(count):
    """A number of bytes with three digits or four and a unit.

    >>> size(4_200_000)
    '4.2 MB'
    """
    power = min(max(len(f"{count:.0f}") - 1, 0) // 3, 4)
    return f"{count / 1000**power:.4g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
