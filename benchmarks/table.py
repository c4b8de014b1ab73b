"""Goals and results, read and written as one table. Nothing here imports Keras."""

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
README = HERE / "README.md"
WORSE = 0.1  # what a ratio may lose without being told as a regression

ABOUT = """\
<!-- Written by `python -m benchmarks readme`: change goals.yaml or that, not this. -->
# Benchmarks

Each line sets something of this package beside what people would use instead. Where
no unit is said, a figure is a ratio of two runs that took turns, with nothing else
running: ours over the other's, or, where it says so, how many times faster ours is.
`less` and `≤` mean that smaller is better, `more` and `≥` that larger is. A figure is
the median of several rounds, with the least and the most of them in brackets, or the
quartiles (`q`) where only these were kept. A line that stands for several shapes shows
the worst. **Before** is what it was when the goals were set.

```
make bench                                 measure what fits in 20 minutes
python -m benchmarks list                  names, minutes, what they compare
python -m benchmarks run rbm search        measure these
python -m benchmarks run --all             all that a machine without a GPU can
python -m benchmarks run start --record    measure, and keep the result
python -m benchmarks readme                write this page anew, from goals.yaml
```

A run writes to `build/bench/`, shows the same table with the fresh figures beside the
recorded ones, and tells which are more than 10 % worse; with `--check` its exit status
is then 1. Only `--record` changes `results/`, and with it this page: let nothing else
run meanwhile. A new benchmark is a script that writes rows (`measuring.py` has what the
scripts share) and an entry in `goals.yaml`, which says what an entry has.
"""


@dataclass
class Line:
    """What is compared with what, and where its figure stands."""

    work: str
    peer: str
    better: str
    rows: dict = field(default_factory=dict)
    column: str | list = "ratio"
    goal: float | None = None
    before: float | None = None
    missed: str | None = None

    def __post_init__(self):
        if self.better not in ("less", "more"):
            raise ValueError(
                f"`better` is less or more. Received: {self.better!r} of {self.work!r}"
            )

    def figure(self, rows):
        """The worst figure of the rows that are meant.

        Raises:
            ValueError: if a column is missing, or no row is meant.
        """
        meant = [row for row in rows if all(_fits(row, *i) for i in self.rows.items())]
        columns = [self.column] if isinstance(self.column, str) else self.column
        found = [Figure.of(row[c]) for row in meant for c in columns if c in row]
        if not found or len(found) < len(meant) * len(columns):
            raise ValueError(
                f"{self.work!r} needs rows {self.rows} with {columns}. Received: "
                f"{len(meant)} such rows, {len(found)} figures in them"
            )
        worst = max if self.better == "less" else min
        return worst(found, key=lambda figure: figure.median)

    def meets(self, figure):
        """Whether a figure reaches the goal; None without a goal."""
        if self.goal is None:
            return None
        less = self.better == "less"
        return figure.median <= self.goal if less else figure.median >= self.goal

    def is_regression(self, recorded, fresh):
        """Whether a fresh figure is more than a tenth worse than the recorded one."""
        if self.better == "less":
            return fresh.median > recorded.median * (1 + WORSE)
        return fresh.median < recorded.median / (1 + WORSE)


@dataclass
class Figure:
    """A number, and how far the rounds lie apart where that was kept."""

    median: float
    low: float | None = None
    high: float | None = None
    quartiles: bool = False

    @classmethod
    def of(cls, value):
        if not isinstance(value, dict):
            return cls(value)
        if "least_and_most" in value:
            return cls(value["median"], *value["least_and_most"])
        if "quartiles" in value:
            return cls(value["median"], *value["quartiles"], quartiles=True)
        return cls(value["median"])

    def __str__(self):
        if self.low is None:
            return short(self.median)
        q = "q " if self.quartiles else ""
        return f"{short(self.median)} ({q}{short(self.low)} to {short(self.high)})"


@dataclass
class Benchmark:
    """A command, and the lines of the table that its result has figures for."""

    name: str
    about: str
    command: str
    minutes: float
    compares: list
    out: str = "--out {file}"
    needs: str | None = None

    def __post_init__(self):
        self.compares = [Line(**line) for line in self.compares]

    def call(self, folder):
        """(arguments, environment) that write the result into a folder."""
        out = self.out.format(file=folder / f"{self.name}.json", folder=folder)
        words = [*shlex.split(self.command), *shlex.split(out)]
        environment = {}
        while "=" in words[0]:
            key, _, value = words.pop(0).partition("=")
            environment[key] = value
        return words, environment

    def result(self, folder):
        """The result in a folder, or None where there is none."""
        path = folder / f"{self.name}.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else None


def load():
    """(the benchmarks, {name: sentence} of results that compare nothing)."""
    read = yaml.safe_load((HERE / "goals.yaml").read_text("utf-8"))
    found = [Benchmark(name, **told) for name, told in read["benchmarks"].items()]
    return found, read["others"]


def page():
    """The text of the README, from the goals and the recorded results."""
    benchmarks, others = load()
    head = ("work", "beside", "goal", "before", "now", "met", "measured by")
    lines, missed, measured = [], [], []
    for each in benchmarks:
        result = each.result(RESULTS)
        link = f"[{each.name}](#{each.name})"
        for line in each.compares:
            now = line.figure(result["rows"]) if result else None
            lines.append((*_cells(line, now), link))
            if now and line.meets(now) is False and line.missed:
                missed.append(f"- **{line.work}**: {line.missed}")
        measured += _measured(each, result)
    told = [f"- `results/{name}.json`, {about}." for name, about in others.items()]
    parts = [
        ABOUT.strip(),
        "\n".join(_table(head, lines)),
        "## What stands in the way\n\n" + "\n".join(missed),
        "## How each was measured\n\n" + "\n".join(measured).strip(),
        "## Results that are compared with nothing\n\n" + "\n".join(told),
    ]
    return "\n\n".join(parts) + "\n"


def fresh_table(benchmarks, folder):
    """(the lines of a table with fresh figures, the work that got worse)."""
    head = ("work", "beside", "goal", "before", "recorded", "now", "met", "told")
    lines, worse = [], []
    for each in benchmarks:
        old, new = each.result(RESULTS), each.result(folder)
        for line in each.compares if new else ():
            now = line.figure(new["rows"])
            recorded = line.figure(old["rows"]) if old else None
            told = ""
            if recorded and line.is_regression(recorded, now):
                told = "WORSE"
                worse.append(line.work)
            *first, shown, met = _cells(line, now)
            known = str(recorded) if recorded else ""
            lines.append((*first, known, shown, met, told))
    return _table(head, lines), worse


def short(number):
    """Three digits."""
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    return f"{number:.{digits}f}" if abs(number) >= 0.095 else f"{number:.2g}"


def _fits(row, key, wanted):
    return row.get(key) in (wanted if isinstance(wanted, list) else [wanted])


def _cells(line, now):
    sign = {"less": "≤", "more": "≥"}[line.better]
    goal = f"{line.better}" if line.goal is None else f"{sign} {line.goal:g}"
    before = "" if line.before is None else short(line.before)
    if now is None:
        return line.work, line.peer, goal, before, "not recorded", ""
    met = {None: "", True: "yes", False: "no"}[line.meets(now)]
    return line.work, line.peer, goal, before, str(now), met


def _table(head, rows):
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _measured(benchmark, result):
    needs = f", needs {benchmark.needs}" if benchmark.needs else ""
    lines = [
        f"### {benchmark.name}",
        "",
        f"{benchmark.about[:1].upper()}{benchmark.about[1:]}: `{benchmark.command}`, "
        f"{benchmark.minutes:g} min{needs}.",
    ]
    if result:
        machine = result["machine"]
        shape = f"{machine['cores']} cores"
        if "memory_gib" in machine:
            shape += f", {machine['memory_gib']} GiB"
        if machine.get("accelerators"):
            shape += f", {', '.join(machine['accelerators'])}"
        versions = ", ".join(f"{k} {v}" for k, v in result["versions"].items())
        called = result["command"]
        as_told = "" if called == benchmark.command else f" as `{called}`"
        lines.append(f"Recorded{as_told} with {versions}; {shape}.")
    return [*lines, ""]
