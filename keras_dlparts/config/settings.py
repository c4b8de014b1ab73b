"""The plain sections of a config, checked, and what is wrong with them in our words."""

import re
from pathlib import Path

import pydantic

from keras_dlparts import distribute
from keras_dlparts.config import pretraining, schema
from keras_dlparts.config.document import copied
from keras_dlparts.config.errors import did_you_mean, path_text, shown
from keras_dlparts.config.overrides import reached
from keras_dlparts.config.parts import text_hint


def read_settings(document):
    """The `schema.Config` of a document without spaces; None with problems noted."""
    try:
        settings = schema.Config.model_validate(copied(document.values))
    except pydantic.ValidationError as error:
        for item in error.errors(include_url=False):
            _note(document, item)
        return None
    if settings.name is None:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(document.name or "run").stem)
        settings.name = stem.strip("-._")[:80] or "run"
    _check_checkpoints(document, settings)
    _check_distribute(document, settings.distribute)
    return settings


def read_pretraining(document, settings, model):
    """Check the section `pretrain` by what the model's `pretrain` takes, and fill in
    its defaults; what is wrong is noted.

    Args:
        settings: The `schema.Config` of the document; None where it has problems.
        model: What the experiment has for a model.
    """
    given = copied(document.values).get("pretrain", {})
    try:
        checked = pretraining.checked(given, model)
        if settings is not None:
            settings.pretrain = checked
    except pydantic.ValidationError as error:
        known = pretraining.section_of(model).model_fields
        for item in error.errors(include_url=False):
            path = ("pretrain", *item["loc"])
            if item["type"] == _UNKNOWN:
                hint = did_you_mean(path[-1], known)
                message = f"unknown key {path[-1]!r}; {hint}"
                document.problem(path, message, key=True)
            else:
                _note(document, item | {"loc": path})


def _check_checkpoints(document, settings):
    every, steps = settings.fit.checkpoint_every, settings.compile.steps_per_execution
    if every and steps != "auto" and every < steps:
        message = (
            f"no checkpoint within a call: must be >= compile.steps_per_execution, "
            f"{steps}. Received: {every}"
        )
        document.problem(("fit", "checkpoint_every"), message)


def _check_distribute(document, chosen):
    """Note the options that the strategy does not take."""
    known = distribute.options(chosen.use)
    for name in chosen.options():
        if name not in known:
            hint = did_you_mean(name, [*known, *schema.Distribute.model_fields])
            message = f"unknown option of {chosen.use}; {hint}"
            document.problem(("distribute", name), message, key=True)


_UNKNOWN, _MISSING = "extra_forbidden", "missing"
# pydantic's kinds of error, in words for readers who do not know Python.
_WORDS = {
    "model_type": "a mapping of keys is expected",
    "dict_type": "a mapping of keys is expected",
    "list_type": "a list is expected",
    "string_type": "text is expected",
    "int_type": "a whole number is expected",
    "float_type": "a number is expected",
    "finite_number": "a finite number is expected",
    "bool_type": "true or false is expected",
    "string_pattern_mismatch": "up to 80 letters, digits and . _ - are expected, a "
    "letter or digit first",
}


# Arguments of parts that are often sought in a section, or at the top.
_OF_PARTS = {
    "batch_size": "data.batch_size",
    "validation_split": "data.validation_split",
    "shuffle": "data.shuffle",
    "learning_rate": "optimizer.learning_rate",
    "lr": "optimizer.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "layers": "model",
    "dataset": "data",
}


def _elsewhere(path):
    """Where a key belongs that is unknown where it stands; "" if it is nowhere."""
    *above, key = path
    top = schema.Config.model_fields
    homes = ("fit", "compile", "best", "search")
    known = {k: f"{n}.{k}" for n in homes for k in top[n].annotation.model_fields}
    found = _OF_PARTS.get(key) or (key if above and key in top else known.get(key))
    if not found:
        return ""
    section, _, inside = found.partition(".")
    if not inside:
        return f"it stands at the top, as `{section}:`"
    return f"it stands in `{section}:`, as `{inside}:`"


def _note(document, item):
    """A pydantic error in our words, at the config's path."""
    path = tuple(item["loc"])
    if item["type"] != _MISSING:
        # At the end of a path pydantic adds the name of a union's branch.
        path = path[: reached(document.values, path)]
    if item["type"] == _UNKNOWN:
        section = schema.Config
        for step in path[:-1]:
            section = section.model_fields[step].annotation
        hint = _elsewhere(path) or did_you_mean(path[-1], section.model_fields)
        document.problem(path, f"unknown key {path[-1]!r}; {hint}", key=True)
        return
    if item["type"] == _MISSING:
        document.problem(path[:-1], f"`{path_text(path)}:` is missing")
        return
    if path in document.bad:  # each branch of a union has an error
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
