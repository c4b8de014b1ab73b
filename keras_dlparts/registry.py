"""A name -> a part, from entry points and nothing else.

A part is an entry `vendor.Name = module:attribute` in one of the groups
`keras_dlparts.<kind>` of any installed distribution, ours included. Keras' own
classes answer as the vendor `keras`. Reading names imports no part and no
backend; `Part.load` imports that one part.
"""

import difflib
import functools
import importlib
import importlib.metadata
from dataclasses import dataclass

from keras_dlparts import static

KINDS = (
    "layers",
    "models",
    "data",
    "optimizers",
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
}
# Base classes are no parts, and these run code that a file brings along.
_NOT_PARTS = {
    "Layer",
    "InputSpec",
    "InputLayer",
    "Input",
    "Wrapper",
    "RNN",
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
UNSAFE = {"Lambda", "LambdaCallback", "TFSMLayer", "JaxLayer", "FlaxLayer"} | {
    "TorchModuleWrapper",
    "MeanMetricWrapper",
    "LearningRateScheduler",
}


class RegistryError(ValueError):
    """A name that does not lead to one part that works.

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

    def load(self):
        """Import the part. A plugin that fails to import breaks only itself."""
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:
            if isinstance(error, ModuleNotFoundError):
                mend = f"install what it needs: no module named {error.name!r}"
            elif isinstance(error, AttributeError):
                mend = f"its entry point names {attribute!r}, which {module} lacks"
            else:
                mend = f"ask the makers of {self.distribution.split()[0]}"
            raise RegistryError(
                f"{self.name} is provided by {self.distribution}, which fails to "
                f"import: {type(error).__name__}: {error}\n"
                f"Likely mend: {mend}, or uninstall or upgrade that distribution."
            ) from error


@functools.cache
def _entries():
    """All entries by (kind, qualified name); a name may have several claimants."""
    claims, problems, seen = {}, [], set()
    for distribution in importlib.metadata.distributions():
        if distribution.name in seen:  # shadowed by an earlier folder of the path
            continue
        seen.add(distribution.name)
        for entry in distribution.entry_points:
            group, _, kind = entry.group.partition(".")
            if group != "keras_dlparts":
                continue
            who = f"{distribution.name} {distribution.version}"
            vendor, dot, short = entry.name.partition(".")
            if kind not in KINDS:
                problems.append(
                    f"{who}: no kind {kind!r} in group {entry.group!r}. "
                    f"The kinds are: {', '.join(KINDS)}"
                )
            elif not (vendor and dot and short) or vendor == "keras":
                problems.append(
                    f"{who}: entry {entry.name!r} of {entry.group!r} must be "
                    "'vendor.Name', with a vendor other than 'keras'"
                )
            else:
                part = Part(kind, entry.name, entry.value.replace(" ", ""), who)
                claims.setdefault((kind, entry.name), []).append(part)
    return claims, problems


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
        if original[:1].isupper() and name[:1].isupper() and name not in _NOT_PARTS
    }


def _plain(name):
    return name.replace("_", "").lower()


def parts(kind=None):
    """The registered parts (not Keras' own), sorted, those in conflict left out."""
    claims, _ = _entries()
    found = [
        rivals[0]
        for (k, _), rivals in claims.items()
        if len(rivals) == 1 and kind in (None, k)
    ]
    return sorted(found, key=lambda p: (KINDS.index(p.kind), p.name))


def problems():
    """What is wrong with the installed entries, a line each."""
    claims, found = _entries()
    return sorted(found) + [
        _collision(name, rivals)
        for (_, name), rivals in sorted(claims.items())
        if len(rivals) > 1
    ]


def _collision(name, rivals):
    owners = " and ".join(sorted(rival.distribution for rival in rivals))
    return f"{name!r} is claimed by {owners}. Uninstall one of them."


def names(kind):
    """Every name of a kind that `find` answers to, Keras' own included."""
    claims, _ = _entries()
    ours = [name for k, name in claims if k == kind]
    return sorted(ours) + sorted(part.name for part in _keras(kind).values())


def find(kind, name):
    """The one part that a qualified name, a bare name or a Keras alias means."""
    if kind not in KINDS:
        raise RegistryError(
            f"Unknown kind {kind!r}. The kinds are: {', '.join(KINDS)}",
            difflib.get_close_matches(kind, KINDS, 1),
        )
    if not isinstance(name, str):
        raise RegistryError(f"A part's name must be text. Received: {name!r}")
    vendor, dot, short = name.partition(".")
    claims, _ = _entries()
    keras = _keras(kind)
    if (short if vendor == "keras" else name) in UNSAFE:
        raise RegistryError(
            f"{name!r} would run code that comes from a file or takes a Python "
            "function. Write it as a part and register it; see CONTRIBUTING.md"
        )
    if (kind, name) in claims:
        candidates = [name]
    elif dot:
        candidates = [f"keras.{short}"] if vendor == "keras" and short in keras else []
    else:
        candidates = [n for k, n in claims if k == kind and n.partition(".")[2] == name]
        candidates += [f"keras.{name}"] if name in keras else []
        if not candidates:  # an alias, as Keras spells them: adam, he_normal
            candidates = [
                p.name for p in keras.values() if _plain(p.name[6:]) == _plain(name)
            ][:1]
    if len(candidates) == 1:
        rivals = claims.get((kind, candidates[0]))
        if rivals is None:
            return keras[candidates[0].partition(".")[2]]
        if len(rivals) > 1:
            raise RegistryError(_collision(candidates[0], rivals))
        return rivals[0]
    if candidates:
        raise RegistryError(
            f"{name!r} is ambiguous; say which: {', '.join(sorted(candidates))}",
            sorted(candidates),
        )
    raise _unknown(kind, name)


def _unknown(kind, name):
    singular = kind if kind == "data" else kind.removesuffix("s")
    known = {n: n for n in names(kind)} | {n.partition(".")[2]: n for n in names(kind)}
    folded = {_plain(n): full for n, full in known.items()}
    close = difflib.get_close_matches(_plain(name), folded, 3, 0.7)
    matches = list(dict.fromkeys(folded[n] for n in close))
    elsewhere = [
        k
        for k in KINDS
        if k != kind
        and name in {n for full in names(k) for n in (full, full.partition(".")[2])}
    ]
    message = f"unknown {singular} {name!r}"
    if elsewhere:
        message += f"; there is one of the kind {' and '.join(elsewhere)}"
    elif "." in name and not matches:
        message += "; a part is named 'vendor.Name' and comes from an installed plugin"
    return RegistryError(message, matches)
