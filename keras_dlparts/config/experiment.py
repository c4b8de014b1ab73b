"""A config, read and checked: everything known about it before Keras builds it."""

import importlib.metadata
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keras_dlparts.config import objects, read, schema, space
from keras_dlparts.config.backends import backend_version, require_backend, use_backend
from keras_dlparts.config.calls import Call, Noted, Ready, distributions, written
from keras_dlparts.config.document import Document, copied
from keras_dlparts.config.overrides import as_list, override
from keras_dlparts.config.parts import METRIC_WORDS, check_part
from keras_dlparts.config.settings import read_pretraining, read_settings
from keras_dlparts.config.signature import arguments


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
        """The calls of all parts, in the order in which they are made."""
        model = self.model if isinstance(self.model, list) else [self.model]
        several = [self.data, *model, self.optimizer, self.loss]
        several += [*self.metrics, *self.callbacks]
        return [call for call in several if isinstance(call, Call)]

    @property
    def own_model(self):
        """The call of a model that was made in Python; None where a config makes it."""
        return self.model if isinstance(self.model, Ready | Noted) else None

    @property
    def compiles(self):
        """What the config says of compiling, of a model that was made in Python."""
        values = self.document.values
        keys = ("optimizer", "loss", "metrics")
        return [key for key in keys if _says(values.get(key))]

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
        # With the options of `pretrain:`, which only the model's own schema has.
        plain = self.settings.model_dump(serialize_as_any=True)
        if self.own_model and self.own_model.made is not None:
            parts["model"] = objects.model_note(self.own_model.made)
            plain["dtype_policy"] = self.own_model.made.dtype_policy.name
            if not self.compiles and self.own_model.made.compiled:
                parts |= objects.compiled(self.own_model.made)
        plain["backend"] = running
        plain["versions"] = dict(sorted(versions.items()))
        del plain["search"]  # nothing in it is searched any more
        return {key: parts.get(key, value) for key, value in plain.items()}


def _says(value):
    """Whether a value says how to compile; a note only says how it was done."""
    if isinstance(value, list):
        return any(map(_says, value))
    return value is not None and not objects.is_note(value)


def load(
    config: str | os.PathLike | dict,
    sets: Sequence[str] = (),
    choose: Callable = space.default_of,
    beside: dict | None = None,
    fit: dict | None = None,
) -> Experiment:
    """Read and check a config: a path, or the dict itself.

    Args:
        config: path of a YAML, TOML or JSON file, or a dict.
        sets: texts `path=value` that override it.
        choose: `(name, spec) -> value` for each searched value; the default takes
            the config's defaults.
        beside: objects of Python given beside the config, `{key: object}`; those of
            `callbacks` are a list, and are added to the config's.
        fit: values of the section `fit`, which override it.

    Raises ConfigError with all problems at once.
    """
    return settled(*opened(config, sets, beside=beside, fit=fit), choose)


def opened(config, sets=(), folder=None, beside=None, fit=None):
    """(document with its searched values, the path or the dict as it was given).

    Paths in the config are relative to `folder`: by default to that of the config's
    file, and in a dict to the working directory. `beside` and `fit` are as for `load`.
    """
    document = _document(config)
    if folder is not None:
        document.folder = folder
    if fit and isinstance(document.values.get("fit", {}), dict):
        document.values["fit"] = document.values.get("fit", {}) | fit
    for key, value in (beside or {}).items():
        _put(document, key, value)
    given = Path(config) if document.name else copied(document.values)
    for text in as_list(sets):
        override(document, text)
    document.check_values()
    document.raise_problems()
    return document, given


def _put(document, key, value):
    """Put an object that was given beside a config into its values."""
    there = document.values.get(key)
    if key == "callbacks":
        there = list(there) if isinstance(there, list) else []
        value = [objects.PythonObject(each) for each in value]
        # Those that a resolved config only notes are given again, in their places.
        there = [
            value.pop(0) if value and objects.is_note(each) else each for each in there
        ]
        document.values[key] = there + value
    elif there is not None and not objects.is_note(there):
        message = f"it is given twice: in the config, and as `{key}=`. Leave one out"
        document.problem((key,), message)
    else:
        document.values[key] = objects.PythonObject(value)


def settled(document, given, choose=space.default_of):
    """The experiment of a config that was opened, with `choose` for searched values."""
    document = space.settle(document, choose)
    settings = read_settings(document)
    if settings is not None and settings.backend:
        use_backend(document, settings.backend)
    require_backend()
    experiment = Experiment(document, settings, given)
    _check_parts(experiment)
    if document.problems:
        raise_with_others(experiment)
    return experiment


def raise_with_others(experiment, tried=()):
    """Raise the problems of a config, with what its sound parts refuse: all at once.

    They are constructed, and the data is read, but for those that were tried before.
    """
    from keras_dlparts.config.construct import construct, note_raised

    document = experiment.document
    for call in experiment.calls():
        was_tried = any(call is each for each in tried)
        if was_tried or not document.is_clean(call.path):
            continue
        made = construct(document, call)
        if call is experiment.data and made is not None:
            try:
                made.element_spec  # noqa: B018 - reads the data
            except Exception as error:
                note_raised(document, call, error)
    document.raise_problems()


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


def _check_parts(experiment):
    """Make calls of the parts that a config names; note what is wrong with them."""
    document, values = experiment.document, experiment.document.values
    one = {"data": "data", "optimizer": "optimizers", "loss": "losses"}
    for key, kind in one.items():
        value = values.get(key, schema.Config.model_fields[key].default)
        if objects.is_note(value) and key != "data":
            continue  # the model that was noted brings it
        if value is not None or key == "optimizer":
            setattr(experiment, key, check_part(document, value, kind, (key,)))
    data, settings = experiment.data, experiment.settings
    if settings and isinstance(data, Ready):
        data.arguments["seed"] = settings.seed
    elif settings and data and "seed" in arguments(data.target):
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
            continue  # noted with the settings
        checked = [
            item
            if key == "metrics" and isinstance(item, str) and item in METRIC_WORDS
            else check_part(document, item, key, (key, i))
            for i, item in enumerate(several)
            if key != "metrics" or not objects.is_note(item)
        ]
        setattr(experiment, key, checked)
    read_pretraining(document, settings, experiment.model)
