"""An experiment -> its data, its compiled model and its callbacks, checked together."""

import re
from dataclasses import dataclass, field

import keras

from keras_dlparts.backend import keras_private
from keras_dlparts.config import lengths
from keras_dlparts.config.adaptation import adapt
from keras_dlparts.config.compiling import check_fit, compile_model
from keras_dlparts.config.construct import construct, note_raised
from keras_dlparts.config.errors import ConfigError
from keras_dlparts.config.experiment import raise_with_others
from keras_dlparts.config.graph import build_model
from keras_dlparts.config.logits import logits_note
from keras_dlparts.config.objects import is_numbered
from keras_dlparts.config.watching import check_monitors
from keras_dlparts.support.messages import own_words


@dataclass
class Assembled:
    """What a config stands for, made."""

    data: object
    model: keras.Model
    callbacks: list
    notes: list = field(default_factory=list)  # of what is not wrong, but unlikely


def assemble(experiment, data=None, steps=len):
    """Make everything a config names; a ConfigError tells all that does not fit.

    Args:
        experiment: A checked config.
        data: The source that the config names, where it was made before.
        steps: Gives the training steps of an epoch, of the training data.
    """
    try:
        return _assembled(experiment, data, steps)
    except ConfigError:
        raise_with_others(experiment, tried=[experiment.data, *experiment.callbacks])
        raise


def _assembled(experiment, data, steps):
    document, settings, notes = experiment.document, experiment.settings, []
    keras.utils.set_random_seed(settings.seed)
    data, callbacks, spec, batch = made_without_model(experiment, data, steps)
    # Again, since data that were made before have drawn nothing here.
    keras.utils.set_random_seed(settings.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.dtype_policy)
    try:
        with keras_private.names_from_the_start():
            model = compile_model(experiment, build_model(experiment, spec))
    finally:
        keras.config.set_dtype_policy(policy)
    _name_after(experiment, model)
    if data is not None and experiment.own_model is None:
        try:
            adapt(model, data.train)
        except Exception as error:
            message = f"does not fit the data: {own_words(error)}"
            document.problem(("model",), message)
            document.raise_problems()
    if data is not None:
        prediction = check_fit(experiment, model, batch, data)
        if prediction is None:  # it trains in a way of its own, with any columns
            return Assembled(data, model, callbacks, notes)
        check_monitors(experiment, model, data, callbacks)
        document.raise_problems()
        unlikely = logits_note(model, prediction)
        if unlikely:
            notes.append(document.told(("loss",), f"note: {unlikely}"))
    return Assembled(data, model, callbacks, notes)


def _name_after(experiment, model):
    """Name a run after the model that was given to it, where nothing else names it."""
    named = experiment.document.values.get("name") or experiment.document.name
    kind = type(model).__name__
    if experiment.own_model is None or named or is_numbered(model.name, kind):
        return
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", model.name).strip("-._")[:80]
    experiment.settings.name = name or experiment.settings.name


def made_without_model(experiment, data=None, steps=len):
    """(data, callbacks, the inputs' spec, the first batch) of a config.

    The data is read, and a ConfigError tells what is wrong with it. The arguments are
    those of `assemble`.
    """
    document = experiment.document
    if data is None:
        data = construct(document, experiment.data)
    callbacks = construct(document, experiment.callbacks)
    spec = batch = None
    if data is not None:
        try:
            spec, batch = data.element_spec[0], data.train[0]
        except Exception as error:
            note_raised(document, experiment.data, error)
    document.raise_problems()
    lengths.settle(experiment, None if data is None else lambda: steps(data.train))
    return data, callbacks, spec, batch
