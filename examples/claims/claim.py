"""A claim as it is written in its folder, and the rows that its runs have left."""

import importlib.util
import json
import math
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUDGETS = ("smoke", "minutes", "hours", "gpu")  # from the smallest on
DATA = (None, "mnist", "fashion-mnist")
TOPICS = (  # in the order of the gallery
    "Depth",
    "Initialization",
    "Normalization",
    "Clipping and optimization",
    "Dropout and noise",
    "Sparsity",
    "Energy models",
    "Autoencoders and adversarial nets",
    "Shallow and deep",
)


@dataclass(frozen=True)
class Criterion:
    """What must come out: a figure of a way is above, below or near something.

    That is a number, or a figure of another way with the same seed: `figure`, unless
    `other_figure` names another one. `by` is the least difference, `within` the largest
    one of what is near.
    """

    say: str
    figure: str
    of: str
    above: str | float | None = None
    below: str | float | None = None
    near: str | float | None = None
    other_figure: str | None = None
    by: float = 0.0
    within: float | None = None

    @property
    def other(self):
        """What the figure is compared with."""
        return next(x for x in (self.above, self.below, self.near) if x is not None)


@dataclass(frozen=True)
class Published:
    """A figure of the paper, and which of ours stands beside it."""

    what: str
    value: Any
    of: str | None = None
    figure: str | None = None


@dataclass(frozen=True)
class Claim:
    """The content of a `claim.yaml`, and the folder that it stands in."""

    name: str
    folder: Path
    topic: str  # of TOPICS
    claim: str  # in one sentence
    source: str  # with page, table or figure
    page: str  # of docs/, which has the part
    ways: dict  # the settings of what is compared
    budgets: dict  # the settings that all ways get
    figures: dict  # what each figure is
    criteria: list
    published: list = field(default_factory=list)
    data: str | None = None
    backend: str | None = None  # where the user names none
    seeds: list = field(default_factory=lambda: [0, 1, 2])
    needs: str = "minutes"  # the budget from which on it should come out
    settings: str = ""  # how they were chosen
    found: str = ""  # what the runs taught
    picture: str = "svg"
    config: str = "config.yaml"  # from its folder; claims may share one

    def result(self, budget, out=None):
        """The file of a budget's rows."""
        return (out / self.name if out else self.folder) / f"{budget}.json"

    def image(self, out=None):
        return (out / self.name if out else self.folder) / f"picture.{self.picture}"

    def asked(self, way, budget):
        """The settings of a way at a budget."""
        return {**(self.ways[way] or {}), **(self.budgets[budget] or {})}

    def rows(self, budget, out=None):
        """The rows that are there and have the settings that are asked for today."""
        path = self.result(budget, out)
        if budget not in self.budgets or not path.exists():
            return []
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return [
            row
            for row in rows
            if row["way"] in self.ways
            and row["settings"] == self.asked(row["way"], budget)
        ]

    def wanted(self, rows, seeds):
        """The (seed, way) that no row has: all ways of a seed before the next one."""
        there = {(row["seed"], row["way"]) for row in rows}
        return [(s, w) for s in seeds for w in self.ways if (s, w) not in there]

    def module(self):
        """`run.py`, or None where the claim is a config."""
        path = self.folder / "run.py"
        if not path.exists():
            return None
        name = f"examples.claims.{self.name}.run"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def run(self, module, way, seed, budget, data):
        """One row: what a way's run gave."""
        settings, began = self.asked(way, budget), time.perf_counter()
        if module is None:
            found = trained(self.folder / self.config, seed, data, **settings)
        else:
            found = module.run(seed=seed, data=data, **settings)
        for figure in self.figures:
            if not math.isfinite(found.get(figure, 0.0)):
                raise ValueError(
                    f"{self.name}: a figure must be finite; run.py says what a run "
                    f"that diverged counts as. Received: {figure}={found[figure]} of "
                    f"{way!r}"
                )
        seconds = round(time.perf_counter() - began, 1)
        return {
            "way": way,
            "seed": seed,
            "settings": settings,
            "seconds": seconds,
            **found,
        }


def trained(config, seed, data, **sets):
    """The last epoch's figures of a config, and those on its test data."""
    from examples.studies import fitted

    sets |= {"seed": seed, "data.path": str(data)} if data else {"seed": seed}
    history, made = fitted(config, [f"{k}={json.dumps(v)}" for k, v in sets.items()])
    test = made.model.evaluate(made.data.test, verbose=0, return_dict=True)
    return {
        **{name: values[-1] for name, values in history.items()},
        **{f"test_{name}": value for name, value in test.items()},
        "by_epoch": history,
    }


def load_all():
    """All claims: topic by topic, by name."""
    claims = [load(path.parent.name) for path in HERE.glob("*/claim.yaml")]
    return sorted(claims, key=lambda claim: (TOPICS.index(claim.topic), claim.name))


def load(name):
    """The claim of a folder, or an error that says what is wrong with its file."""
    folder = HERE / name
    told = yaml.safe_load((folder / "claim.yaml").read_text(encoding="utf-8"))
    told["criteria"] = [_made(Criterion, one, name) for one in told["criteria"]]
    told["published"] = [_made(Published, x, name) for x in told.get("published", [])]
    claim = _made(Claim, {"name": name, "folder": folder, **told}, name)
    for problem in _problems(claim):
        raise ValueError(f"{folder / 'claim.yaml'}: {problem}")
    return claim


def _made(kind, told, name):
    known = {one.name for one in fields(kind)}
    if unknown := told.keys() - known:
        raise ValueError(
            f"{name}/claim.yaml: a {kind.__name__.lower()} has {sorted(known)}. "
            f"Received: {sorted(unknown)}"
        )
    return kind(**told)


def _problems(claim):
    """What is wrong with a claim: each as a sentence."""
    if claim.topic not in TOPICS:
        yield f"topic must be one of {TOPICS}. Received: {claim.topic!r}"
    if unknown := [b for b in claim.budgets if b not in BUDGETS]:
        yield f"budgets must be of {BUDGETS}. Received: {unknown}"
    if "smoke" not in claim.budgets:
        yield "there must be a budget `smoke` of seconds"
    if claim.needs not in claim.budgets:
        yield f"needs must be one of its budgets. Received: {claim.needs!r}"
    if claim.data not in DATA:
        yield f"data must be one of {DATA}. Received: {claim.data!r}"
    if not claim.criteria:
        yield "there must be a criterion; it is written before the run"
    for one in claim.criteria:
        given = [x for x in (one.above, one.below, one.near) if x is not None]
        if len(given) != 1 or (one.near is None) != (one.within is None):
            yield f"one of above, below, near with within is needed: {one.say!r}"
        ways = [one.of] + [x for x in given if isinstance(x, str)]
        for way in ways:
            if way not in claim.ways:
                yield f"{one.say!r} names a way that is not there: {way!r}"
        for figure in (one.figure, one.other_figure or one.figure):
            if figure not in claim.figures:
                yield f"{one.say!r} names a figure that is not there: {figure!r}"
