"""Several runs beside each other: which there are, and in what they differ.

Reading them imports no backend. A config is compared as paths and values, such as
`model[0].units` and 64. What says nothing of the training is left out: the run's name
and the versions, which `environment.json` has too.
"""

import collections
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_dlparts.runs import Run

if TYPE_CHECKING:
    import pandas

_NOT_COMPARED = ("dlparts", "name", "versions")
_DEPTH = 3  # how many folders deep runs are looked for: searches/<name>/trial_<n>


class Runs(list[Run]):
    """The runs under a folder, the oldest first.

    A list of `Run`, found up to three folders deep, so that a search's trials are
    found too.

    Args:
        folder: A folder such as `"runs"`.

    Attributes:
        folder: The folder, a `pathlib.Path`.
        broken: `{path: reason}` of those that cannot be read; they are not in the list.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "digits-20250102-030405")
    >>> path.mkdir()
    >>> _ = (path / "status.json").write_text('{"state": "done", "seconds": 3}')
    >>> _ = (path / "resolved.yaml").write_text("model: []")
    >>> _ = (path / "history.csv").write_text("epoch,loss,val_loss\\n1,2,3\\n")
    >>> runs = Runs(path.parent)
    >>> runs
    [<Run digits-20250102-030405: done, best val_loss 3 at epoch 1, 3.0 s>]
    >>> runs.records()[0]["best"]
    3.0
    """

    def __init__(self, folder: str | os.PathLike = "runs"):
        self.folder, self.broken = Path(folder), {}
        if not self.folder.is_dir():
            kind = "a file" if self.folder.exists() else "nothing"
            raise FileNotFoundError(
                "runs are looked for in a folder. "
                f"Received: {str(folder)!r}, where there is {kind}. Give the folder "
                "that `dlparts train` wrote into, by default 'runs'."
            )
        found = []
        for path in _run_folders(self.folder, _DEPTH):
            try:
                run = Run(path)
                _read(run)
            except (OSError, ValueError) as error:
                self.broken[path] = " ".join(str(error).split())
            else:
                found.append(run)
        super().__init__(sorted(found, key=_began))

    def names(self) -> list[str]:
        """A short name for each run, told apart by as many folders as it takes."""
        return distinct_names(self)

    def changed(self) -> dict[str, list]:
        """What differs among the configs; see `changed_values`."""
        return changed_values([run.config for run in self])

    def records(self) -> list[dict]:
        """A dict for each run: how it went, and its values of what differs.

        The keys are `name`, `state`, `monitor`, `best`, `best_epoch`, `epoch`,
        `epochs`, `seconds`, `started`, `message`, `path`; `test_<metric>` where the run
        was evaluated; and the paths of the config that are not the same in all runs.
        """
        changed = self.changed()
        return [
            _record(run, name)
            | {path: values[index] for path, values in changed.items()}
            for index, (run, name) in enumerate(zip(self, self.names(), strict=True))
        ]

    def to_dataframe(self) -> "pandas.DataFrame":
        """`records()` as a pandas DataFrame. Needs pandas."""
        return dataframe(self.records())

    def _repr_html_(self):
        from keras_dlparts.report import notebook

        return notebook.of_runs(self)


class Comparison:
    """Two runs or more beside each other; `Run.compare` and `dlparts compare` make it.

    Args:
        runs: The runs, or their paths; the first is what the others are compared with.

    Attributes:
        runs: A list of `Run`.
        names: A short name for each.
        changed: `{path in the config: [a value for each run]}` of what differs.
    """

    def __init__(self, runs: Sequence[Run | str | os.PathLike]):
        self.runs = [run if isinstance(run, Run) else Run(run) for run in runs]
        if len(self.runs) < 2:
            raise ValueError(
                "a comparison is of two runs or more. "
                f"Received: {len(self.runs)}. Name another run's folder"
            )
        for run in self.runs:
            _read(run)
        self.names = distinct_names(self.runs)
        self.changed = changed_values([run.config for run in self.runs])

    def __repr__(self):
        lines = [f"<Comparison of {', '.join(self.names)}>"]
        for path, values in self.changed.items():
            lines.append(f"  {path}: {', '.join(map(shown, values))}")
        return "\n".join(lines)

    def records(self) -> list[dict]:
        """A dict for each run, as `Runs.records` gives."""
        return [
            _record(run, name)
            | {path: values[index] for path, values in self.changed.items()}
            for index, (run, name) in enumerate(zip(self.runs, self.names, strict=True))
        ]

    def to_dataframe(self) -> "pandas.DataFrame":
        """`records()` as a pandas DataFrame. Needs pandas."""
        return dataframe(self.records())

    def write(self, path: str | os.PathLike = "comparison.html") -> Path:
        """Write the comparison as one page that opens without a network.

        Args:
            path: Where to.

        Returns: the path of the page.
        """
        from keras_dlparts.report import comparison_page

        return comparison_page.write(self, path)

    def _repr_html_(self):
        from keras_dlparts.report import notebook

        return notebook.of_comparison(self)


def changed_values(configs: Sequence[dict]) -> dict[str, list]:
    """What is not the same in all configs: `{path: [a value for each config]}`.

    A config that has no such path has None there.

    >>> changed_values([{"a": {"b": 1}, "c": [1]}, {"a": {"b": 2}, "c": [1]}])
    {'a.b': [1, 2]}
    """
    flats = [
        dict(_flat({k: v for k, v in config.items() if k not in _NOT_COMPARED}))
        for config in configs
    ]
    paths = dict.fromkeys(path for flat in flats for path in flat)
    rows = {path: [flat.get(path) for flat in flats] for path in paths}
    return {
        path: values
        for path, values in rows.items()
        if any(repr(value) != repr(values[0]) for value in values)
    }


def unusual(changed: dict[str, list], count: int) -> list[dict]:
    """For each run, the values in which it differs from most of the others.

    A value is usual if most runs have it, or the first run where several are equally
    frequent. Where another part is used, the arguments that it does not have are left
    out. The paths are shortened to the last words that still tell them apart.

    Args:
        changed: What `changed_values` gives.
        count: How many runs there are.

    >>> unusual({"optimizer.learning_rate": [0.1, 0.1, 0.3], "seed": [0, 1, 0]}, 3)
    [{}, {'seed': 1}, {'learning_rate': 0.3}]
    """
    found = [{} for _ in range(count)]

    def is_replaced(path):
        return f"{path.rpartition('.')[0]}.use" in changed

    for path, short in zip(changed, _shortened([*changed]), strict=True):
        values = changed[path]
        seen = collections.Counter(map(repr, values))
        usual = max(map(repr, values), key=seen.__getitem__)  # the first of equals
        for one, value in zip(found, values, strict=True):
            if repr(value) != usual and (value is not None or not is_replaced(path)):
                one[short] = value
    return found


def shown(value) -> str:
    """A value of a config in few letters; a missing one is a dash.

    >>> shown(0.0003), shown(None), shown("relu"), shown(True)
    ('0.0003', '–', 'relu', 'true')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """The folders' names, with those above them where names are equal."""
    parts = [run.path.resolve().parts for run in runs]
    depth = 1
    while depth < max(map(len, parts), default=1):
        short = [path[-depth:] for path in parts]
        if len({*short}) == len({*parts}):
            break
        depth += 1
    return ["/".join(path[-depth:]) for path in parts]


def dataframe(records: list[dict]) -> "pandas.DataFrame":
    """Records as a pandas DataFrame, or an ImportError that says what to install."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "a DataFrame needs pandas: `pip install pandas`. `records()` gives the "
            "same as a list of dicts without it"
        ) from error
    return pandas.DataFrame.from_records(records)


def _read(run):
    """Read what is compared, so that a broken file is found here."""
    _ = run.status, run.config, run.history, run.evaluation


def _run_folders(folder, depth) -> Iterator[Path]:
    """The run folders at most `depth` below a folder, itself included."""
    if any((folder / name).is_file() for name in ("status.json", "resolved.yaml")):
        yield folder
        return
    if depth:
        for inner in sorted(folder.iterdir()):
            if inner.is_dir() and not inner.name.startswith("."):
                yield from _run_folders(inner, depth - 1)


def _began(run):
    try:
        started = str(run.environment.get("started", ""))
    except (OSError, ValueError):  # one file less does not hide a run
        started = ""
    return started, run.path.name


def _record(run, name):
    status, best = run.status, run.best()
    column, row = best if best else (None, None)
    tests = run.evaluation.get("test", {}).get("metrics", {})
    return {
        "name": name,
        "state": run.state,
        "monitor": column,
        "best": run.history[column][row] if best else math.nan,
        "best_epoch": row + 1 if best else None,
        "epoch": status.get("epoch"),
        "epochs": status.get("epochs"),
        "seconds": status.get("seconds"),
        "started": _began(run)[0],
        "message": status.get("message", ""),
        "path": str(run.path),
        **{f"test_{metric}": value for metric, value in tests.items()},
    }


def _flat(value, path=""):
    """A config's values with their paths: ("model[0].units", 64)."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{path}[{index}]")
    else:
        yield path, value


def _shortened(paths):
    """Each path from the last dot on from which it is the only one."""
    words = [path.split(".") for path in paths]
    ends = [[".".join(w[-n:]) for n in range(1, len(w) + 1)] for w in words]
    seen = collections.Counter(end for one in ends for end in {*one})
    return [
        next((end for end in one if seen[end] == 1), path)
        for one, path in zip(ends, paths, strict=True)
    ]
