"""An experiment -> its data, its compiled model and its callbacks, checked together."""

import collections
import contextlib
from dataclasses import dataclass

import keras

from keras_dlparts.config.adaptation import adapt
from keras_dlparts.config.compiling import check_fit, compile_model
from keras_dlparts.config.construct import construct, own_words
from keras_dlparts.config.graph import build_model


@dataclass
class Assembled:
    """What a config stands for, made."""

    data: object
    model: keras.Model
    callbacks: list


def assemble(experiment, data=None):
    """Make everything a config names; a ConfigError tells all that does not fit.

    `data` is the source that the config names, where it was made before.
    """
    document, settings = experiment.document, experiment.settings
    keras.utils.set_random_seed(settings.seed)
    data, callbacks, spec, batch = made_without_model(experiment, data)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.dtype_policy)
    try:
        with _own_names():
            model = compile_model(experiment, build_model(experiment, spec))
    finally:
        keras.config.set_dtype_policy(policy)
    if data is not None:
        try:
            adapt(model, data.train)
        except Exception as error:
            message = f"does not fit the data: {own_words(error)}"
            document.problem(("model",), message)
            document.raise_problems()
        check_fit(experiment, model, batch)
    return Assembled(data, model, callbacks)


def made_without_model(experiment, data=None):
    """(data, callbacks, the inputs' spec, the first batch) of a config.

    The data is read, and a ConfigError tells what is wrong with it. `data` is the
    source that the config names, where it was made before.
    """
    document = experiment.document
    if data is None:
        data = construct(document, experiment.data)
    callbacks = construct(document, experiment.callbacks)
    document.raise_problems()
    spec = batch = None
    if data is not None:
        try:
            spec, batch = data.element_spec[0], data.train[0]
        except Exception as error:
            document.problem(("data",), f"{experiment.data.part.name}: {error}")
            document.raise_problems()
    return data, callbacks, spec, batch


@contextlib.contextmanager
def _own_names():
    """A context in which Keras' names count from the start: `dense`, `dense_1`, ...

    A config's model then has the same names whatever the process made before, and the
    same bits: TensorFlow sorts the terms of a sum by name, where `dense_10` comes
    before `dense_9`.
    """
    from keras.src.backend.common import global_state  # Keras exports none

    theirs = global_state.get_global_attribute("object_name_uids")
    own = collections.defaultdict(int)
    global_state.set_global_attribute("object_name_uids", own)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", theirs)
