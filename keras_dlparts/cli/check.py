"""`dlparts check`: everything about a config that can be wrong before training."""

from rich.markup import escape

from keras_dlparts.cli.arguments import ConfigPath, Sets
from keras_dlparts.cli.console import err, out
from keras_dlparts.cli.starting import start_backend


def check(config: ConfigPath, sets: Sets = None):
    """Check a config: its parts, arguments, data and shapes. Trains nothing."""
    start_backend(config, sets)
    from keras_dlparts.config.branches import check_config

    made, spaces = check_config(config, sets or ())
    for note in made.notes:
        err.print(escape(str(note)), soft_wrap=True, highlight=False)
    said = f"{config} is good: a model of {made.model.count_params():,} parameters"
    branches = sum(len(space.spec.get("of", ())) for space in spaces)
    said += f"; {len(spaces)} searched values" if spaces else ""
    out.print(said + (f", {branches} branches" if branches else ""))
