"""A config, read and checked: everything known about it before Keras builds it."""

import copy
import functools
import importlib.metadata
import importlib.util
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pydantic

from keras_dlparts import distribute
from keras_dlparts.config import read, schema, space
from keras_dlparts.config.calls import Call, distributions, written
from keras_dlparts.config.document import Document
from keras_dlparts.config.errors import did_you_mean, path_text, shown
from keras_dlparts.config.overrides import override, reached
from keras_dlparts.config.parts import METRIC_WORDS, check_part, text_hint
from keras_dlparts.config.signature import arguments

BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


@dataclass
class Experiment:
    """A checked config: its settings, and the parts as calls not yet made."""

    document: Document
    settings: schema.Config
    given: object  # the path, or the dict as it was
    data: Call | None = None
    model: object = None  # a list of calls (layers), or the call of a blueprint
    optimizer: Call | None = None
    loss: Call | None = None
    metrics: list = field(default_factory=list)
    callbacks: list = field(default_factory=list)

    def calls(self):
        model = self.model if isinstance(self.model, list) else [self.model]
        several = [self.data, *model, self.optimizer, self.loss]
        several += [*self.metrics, *self.callbacks]
        return [call for call in several if isinstance(call, Call)]

    def resolved(self):
        """The config with every default written out and the versions noted.

        Training from it repeats the run.
        """
        import keras

        running = keras.backend.backend()
        versions = distributions(self.calls()) | {
            name: importlib.metadata.version(name)
            for name in ("keras", "keras-dlparts")
        }
        versions |= backend_version(running)
        parts = {
            name: written(getattr(self, name))
            for name in ("data", "model", "optimizer", "loss", "metrics", "callbacks")
        }
        plain = self.settings.model_dump()
        plain["backend"] = running
        plain["versions"] = dict(sorted(versions.items()))
        del plain["search"]  # nothing in it is searched any more
        return {key: parts.get(key, value) for key, value in plain.items()}


@functools.cache  # reads what every installed distribution says of itself
def backend_version(backend):
    """{distribution: version} of the package that provides a backend."""
    names = importlib.metadata.packages_distributions().get(BACKENDS[backend], [])
    return {name: importlib.metadata.version(name) for name in sorted({*names})[:1]}


def load(config, sets=(), choose=space.default_of):
    """Read and check a config: a path, or the dict itself.

    Args:
        config: path of a YAML, TOML or JSON file, or a dict.
        sets: texts `path=value` that override it.
        choose: `(name, spec) -> value` for each searched value; the default takes
            the config's defaults.

    Raises ConfigError with all problems at once.
    """
    return settled(*opened(config, sets), choose)


def opened(config, sets=()):
    """(document with its searched values, the path or the dict as it was given)."""
    document = _document(config)
    given = Path(config) if document.name else copy.deepcopy(document.values)
    for text in sets:
        override(document, text)
    document.check_values()
    document.raise_problems()
    return document, given


def settled(document, given, choose=space.default_of):
    """The experiment of an opened config, each searched value as `choose` says."""
    document = space.settle(document, choose)
    settings = _settings(document)
    if settings is not None and settings.name is None:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(document.name or "run").stem)
        settings.name = stem.strip("-._")[:80] or "run"
    if settings is not None:
        _check_checkpoints(document, settings)
    if settings is not None and settings.backend:
        use_backend(document, settings.backend)
    if settings is not None:
        _check_distribute(document, settings.distribute)
    experiment = Experiment(document, settings, given)
    _check_parts(experiment)
    if document.problems:
        _construct_clean_parts(experiment)
    document.raise_problems()
    return experiment


def _check_checkpoints(document, settings):
    every, steps = settings.fit.checkpoint_every, settings.compile.steps_per_execution
    if every and steps != "auto" and every < steps:
        message = (
            f"no checkpoint within a call: must be >= compile.steps_per_execution, "
            f"{steps}. Received: {every}"
        )
        document.problem(("fit", "checkpoint_every"), message)


def _construct_clean_parts(experiment):
    """Find what constructors refuse too, so that all is said at once."""
    from keras_dlparts.config.construct import construct

    for call in experiment.calls():
        if experiment.document.is_clean(call.path):
            construct(experiment.document, call)


def _document(config):
    if isinstance(config, str | os.PathLike):
        return read.read(Path(config))
    if not isinstance(config, dict):
        raise TypeError(
            f"A config is a path or a dict. Received: {type(config).__name__}"
        )
    document = Document(config)
    document.check_values()  # a copy, which the overrides may change
    return document


def _settings(document):
    try:
        return schema.Config.model_validate(copy.deepcopy(document.values))
    except pydantic.ValidationError as error:
        for item in error.errors(include_url=False):
            _note(document, item)
    return None


_UNKNOWN, _MISSING = "extra_forbidden", "missing"
# pydantic's kinds of error, in words for those who never saw Python.
_WORDS = {
    "model_type": "a mapping of keys is expected",
    "dict_type": "a mapping of keys is expected",
    "list_type": "a list is expected",
    "string_type": "text is expected",
    "int_type": "a whole number is expected",
    "float_type": "a number is expected",
    "bool_type": "true or false is expected",
    "string_pattern_mismatch": "up to 80 letters, digits and . _ - are expected, a "
    "letter or digit first",
}


def _note(document, item):
    """A pydantic error in our words, at the config's path."""
    path = tuple(item["loc"])
    if item["type"] != _MISSING:
        # pydantic adds the names of unions' branches to the path
        path = path[: reached(document.values, path)]
    if item["type"] == _UNKNOWN:
        section = schema.Config
        for step in path[:-1]:
            section = section.model_fields[step].annotation
        hint = did_you_mean(path[-1], section.model_fields)
        document.problem(path, f"unknown key {path[-1]!r}; {hint}", key=True)
        return
    if item["type"] == _MISSING:
        document.problem(path[:-1], f"`{path_text(path)}:` is missing")
        return
    if path in document.bad:  # the next branch of a union says so, too
        return
    received = item["input"]
    message = _WORDS.get(item["type"], item["msg"].replace("Input should", "must"))
    if path == ("compile", "jit_compile"):
        message = "true, false or 'auto' is expected"
    if received is None:
        message += "; leave the key out for its default"
    elif item["type"] == "list_type":
        message += ": each item after `- `, or all in [...]"
    elif isinstance(received, str):
        message += text_hint(received, message)
    key = item["loc"][-1] == "[key]"
    message = f"{message}{' as the key' * key}. Received: {shown(received)}"
    document.problem(path, message, key)


def use_backend(document, wanted):
    """Run on the wanted Keras backend, which is chosen before Keras is imported."""
    running = sys.modules["keras"].backend.backend() if "keras" in sys.modules else None
    if running is None:
        os.environ["KERAS_BACKEND"] = wanted
    elif running != wanted:
        document.problem(
            ("backend",),
            f"the config is for {wanted}, but Keras already runs on {running}; set "
            f"KERAS_BACKEND={wanted} before Python starts",
        )


def default_backend():
    """Choose an installed backend where nothing else does."""
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    for backend, module in BACKENDS.items():
        if importlib.util.find_spec(module):
            os.environ["KERAS_BACKEND"] = backend
            return
    raise ImportError(
        "No Keras backend is installed. Install one: "
        "pip install 'keras-dlparts[tensorflow]' (or [cpu], [gpu], [jax], [torch])"
    )


def _check_distribute(document, chosen):
    """Note the options that the strategy does not take."""
    known = distribute.options(chosen.use)
    for name in chosen.options():
        if name not in known:
            hint = did_you_mean(name, [*known, *schema.Distribute.model_fields])
            message = f"unknown option of {chosen.use}; {hint}"
            document.problem(("distribute", name), message, key=True)


def _check_parts(experiment):
    default_backend()
    document, values = experiment.document, experiment.document.values
    one = {"data": "data", "optimizer": "optimizers", "loss": "losses"}
    for key, kind in one.items():
        value = values.get(key, schema.Config.model_fields[key].default)
        if value is not None or key == "optimizer":
            setattr(experiment, key, check_part(document, value, kind, (key,)))
    data, settings = experiment.data, experiment.settings
    if settings and data and "seed" in arguments(data.target):
        data.arguments.setdefault("seed", settings.seed)
    model = values.get("model")
    if isinstance(model, list):
        if not model and document.is_clean(("model",)):
            document.problem(("model",), "at least one layer is expected")
        experiment.model = [
            check_part(document, layer, "layers", ("model", i), layer=True)
            for i, layer in enumerate(model)
        ]
    elif "model" in values:
        experiment.model = check_part(document, model, "models", ("model",))
    for key in ("metrics", "callbacks"):
        several = values.get(key, [])
        if not isinstance(several, list):
            continue  # pydantic has said so
        checked = [
            item
            if key == "metrics" and item in METRIC_WORDS
            else check_part(document, item, key, (key, i))
            for i, item in enumerate(several)
        ]
        setattr(experiment, key, checked)
