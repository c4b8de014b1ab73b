"""A name -> a part, from entry points and nothing else.

A part is an entry `vendor.Name = module:attribute` in one of the groups
`keras_dlparts.<kind>` of any installed distribution, ours included. Keras' own
classes belong to the vendor `keras`. To read names imports neither a part nor a
backend; `Part.load` imports that one part.
"""

import difflib
import functools
import importlib
import importlib.metadata
import re
from collections.abc import Callable
from dataclasses import dataclass

from keras_dlparts import static

KINDS = (
    "layers",
    "models",
    "data",
    "optimizers",
    "clipping",
    "schedules",
    "losses",
    "metrics",
    "callbacks",
    "initializers",
    "regularizers",
    "constraints",
)
_KERAS_MODULES = {kind: f"keras.{kind}" for kind in KINDS} | {
    "schedules": "keras.optimizers.schedules",
    "data": None,
    "models": None,
    "clipping": None,
}
# Base classes and helpers, which a config has no use for.
_NOT_PARTS = {
    "Layer",
    "InputSpec",
    "InputLayer",
    "Wrapper",
    "Loss",
    "Metric",
    "Optimizer",
    "Callback",
    "CallbackList",
    "Initializer",
    "Regularizer",
    "Constraint",
    "LearningRateSchedule",
    "OptimizerMap",
}
# These run code that a file brings along, or take a Python function.
UNSAFE = {"Lambda", "LambdaCallback", "TFSMLayer", "JaxLayer", "FlaxLayer"} | {
    "TorchModuleWrapper",
    "MeanMetricWrapper",
    "LearningRateScheduler",
}

# Short names that Keras' own `get` functions know.
_SHORT = {
    "mse": "MeanSquaredError",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError",
    "bce": "BinaryCrossentropy",
    "kld": "KLDivergence",
}


class RegistryError(ValueError):
    """A name that leads to no part, to several, or to one that cannot be imported.

    `matches` holds the close or the competing names.
    """

    def __init__(self, message, matches=()):
        super().__init__(message)
        self.matches = list(matches)


@dataclass(frozen=True)
class Part:
    """One registered part; nothing is imported until `load`."""

    kind: str
    name: str  # vendor.Name
    target: str  # module:attribute
    distribution: str  # "acme-parts 1.2"

    @property
    def vendor(self):
        return self.name.partition(".")[0]

    @property
    def short_name(self):
        return self.name.partition(".")[2]

    def load(self) -> Callable:
        """Import the part, a class or a function.

        Raises RegistryError where its plugin cannot be imported; other plugins go on.
        """
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:  # a module may call sys.exit()
            plugin = self.distribution.rpartition(" ")[0]
            mend = f"upgrade {plugin}, tell its makers, or uninstall it."
            if isinstance(error, ModuleNotFoundError):
                mend = f"install what has the module {error.name!r}, or {mend}"
            raise RegistryError(
                f"{self.name} is provided by {self.distribution}, which fails to "
                f"import: {type(error).__name__}: {error}\nLikely mend: {mend}"
            ) from error


@functools.cache
def _entries():
    """All entries by (kind, qualified name); a name may have several claimants.

    And the entries that do not count, each as its name and what is wrong with it.
    """
    claims, problems, seen = {}, [], set()
    for distribution in importlib.metadata.distributions():
        # Parsing the metadata of every installed distribution would take too long.
        if "keras_dlparts" not in (distribution.read_text("entry_points.txt") or ""):
            continue
        plain = re.sub("[-_.]", "", distribution.name).lower()
        if plain in seen:  # an earlier folder of `sys.path` has it too, and counts
            continue
        seen.add(plain)
        who = f"{distribution.name} {distribution.version}"
        try:
            entries = distribution.entry_points
        except Exception as error:
            problems.append(("", f"{who}: its entry points cannot be read: {error}"))
            continue
        for entry in entries:
            group, _, kind = entry.group.partition(".")
            if group != "keras_dlparts":
                continue
            if problem := _problem(entry, kind):
                head = f"{who}: entry {entry.name!r} of {entry.group!r}"
                problems.append((entry.name, f"{head} {problem}"))
            else:
                part = Part(kind, entry.name, entry.value, who)
                claims.setdefault((kind, entry.name), []).append(part)
    return claims, problems


def _problem(entry, kind):
    """Why an entry does not count, or None."""
    vendor, dot, short = entry.name.partition(".")
    if kind not in KINDS:
        return f"is of no kind {kind!r}. The kinds are: {', '.join(KINDS)}"
    if not (vendor and dot and short) or vendor == "keras":
        return "must be 'vendor.Name', with a vendor other than 'keras'"
    if not re.fullmatch(r"[\w.]+:\w+", entry.value):
        return f"must lead to 'module:Name'. Received: {entry.value!r}"
    return None


@functools.cache
def _keras(kind):
    """Keras' own parts of a kind by name, read from its source, not imported."""
    module = _KERAS_MODULES[kind]
    if module is None:
        return {}
    version = importlib.metadata.version("keras")
    return {
        name: Part(kind, f"keras.{name}", f"{module}:{name}", f"keras {version}")
        for name, (_, original) in static.imported_names(module).items()
        if original[:1].isupper() and name[:1].isupper()
        if name not in _NOT_PARTS and name not in UNSAFE
    }


def _plain(name):
    return name.replace("_", "").lower()


def singular(kind: str) -> str:
    """What one part of a kind is called in a message."""
    named = {"data": "data source", "losses": "loss", "clipping": "clipping rule"}
    return named.get(kind, kind.removesuffix("s"))


def parts(kind: str | None = None) -> list[Part]:
    """The registered parts, sorted; not Keras' own, and none that two plugins claim."""
    claims, _ = _entries()
    found = [
        rivals[0]
        for (k, _), rivals in claims.items()
        if len(rivals) == 1 and kind in (None, k)
    ]
    return sorted(found, key=lambda p: (KINDS.index(p.kind), p.name))


def problems() -> list[str]:
    """What is wrong with the installed entries, a line each."""
    claims, found = _entries()
    return sorted(problem for _, problem in found) + [
        _collision(name, rivals)
        for (_, name), rivals in sorted(claims.items())
        if len(rivals) > 1
    ]


def _collision(name, rivals):
    owners = " and ".join(sorted(rival.distribution for rival in rivals))
    return f"{name!r} is claimed by {owners}. Uninstall one of them."


def names(kind: str) -> list[str]:
    """Every qualified name of a kind, Keras' own included."""
    claims, _ = _entries()
    ours = [name for k, name in claims if k == kind]
    return sorted(ours) + sorted(part.name for part in _keras(kind).values())


def has_aliases(kind: str) -> bool:
    """Whether parts of a kind answer to Keras' aliases, such as `adam`."""
    return bool(_keras(kind))


def find(kind: str, name: str) -> Part:
    """The one part that a qualified name, a bare name or an alias of Keras means.

    >>> find("layers", "RandomDropout").name, find("optimizers", "adam").name
    ('dlparts.RandomDropout', 'keras.Adam')
    """
    if kind not in KINDS:
        raise RegistryError(
            f"unknown kind {kind!r}. The kinds are: {', '.join(KINDS)}",
            difflib.get_close_matches(str(kind), KINDS, 1),
        )
    if not isinstance(name, str):
        raise RegistryError(f"a part's name must be text. Received: {name!r}")
    _refuse_unsafe(name)
    candidates = sorted(_candidates(kind, name))
    if not candidates:
        raise _unknown(kind, name)
    if len(candidates) > 1:
        raise RegistryError(
            f"{name!r} is ambiguous; say which: {', '.join(candidates)}", candidates
        )
    vendor, _, short = candidates[0].partition(".")
    if vendor == "keras":
        return _keras(kind)[short]
    rivals = _entries()[0][kind, candidates[0]]
    if len(rivals) > 1:
        raise RegistryError(_collision(candidates[0], rivals))
    return rivals[0]


def _refuse_unsafe(name):
    if name.removeprefix("keras.") in UNSAFE:
        raise RegistryError(
            f"{name!r} runs code that comes from a file or takes a Python function. "
            "Write it as a part and register it; see CONTRIBUTING.md"
        )


def _candidates(kind, name):
    """The qualified names that a name may mean."""
    qualified = [n for k, n in _entries()[0] if k == kind]
    qualified += [part.name for part in _keras(kind).values()]
    if "." in name:
        return {name} & {*qualified}
    exact = {n for n in qualified if _short(n) == name}
    if exact:
        return exact
    # An alias as Keras spells it, such as `adam` or `he_normal`; only Keras' own parts
    # have them. Where several names of one class fit, the first is taken.
    alias = _plain(_SHORT.get(name.lower(), name))
    alias = [n for n in _keras(kind) if _plain(n) == alias]
    return {f"keras.{n}" for n in alias[:1]}


def _short(qualified):
    return qualified.partition(".")[2]


def _unknown(kind, name):
    known = names(kind)
    folded = {_plain(_short(n)): n for n in known} | {_plain(n): n for n in known}
    close = difflib.get_close_matches(_plain(name), folded, 3, 0.7)
    elsewhere = [k for k in KINDS if k != kind and _candidates(k, name)]
    message = f"unknown {singular(kind)} {name!r}"
    if elsewhere:
        message += f"; it is one of the {' and the '.join(elsewhere)}"
    elif ignored := _ignored(name):
        return RegistryError(message + ignored)
    elif "." in name and not close:
        message += "; a part is named 'vendor.Name' and comes from an installed plugin"
        message += ", an import path is not accepted"
        close = [_plain(n) for n in known if _short(n) == name.rpartition(".")[2]]
    return RegistryError(message, list(dict.fromkeys(folded[n] for n in close)))


def _ignored(name):
    """What a message adds for a name that installed entries have in vain, or ""."""
    bare = name.rpartition(".")[2]
    found = [
        problem
        for entry, problem in _entries()[1]
        if bare and entry.rpartition(".")[2] == bare
    ]
    return f"; it is installed and does not count: {'; '.join(found)}" if found else ""


def find_any(name: str) -> list[Part]:
    """The parts of every kind that a name means; RegistryError if none does."""
    _refuse_unsafe(name)
    found = []
    for kind in KINDS:
        if _candidates(kind, name):
            found.append(find(kind, name))
    if found:
        return found
    close = [m for kind in KINDS for m in _unknown(kind, name).matches]
    close = list(dict.fromkeys(close))  # a name may be of several kinds
    hint = f"; did you mean {' or '.join(map(repr, close[:2]))}?" if close else ""
    hint = hint or _ignored(name)
    raise RegistryError(f"unknown part {name!r}{hint}   (all: dlparts list)", close)
